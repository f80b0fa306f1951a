"""Passes that make a graph quicker and keep what it computes: chains of nodes become one."""

from __future__ import annotations

import math

import numpy as np
import onnx

from models.importers.net import Array, Net

__all__ = ["fold_affine", "fuse_gelu"]


def fold_affine(net: Net) -> None:
    """Fold multiplications and additions by a number a channel into the convolution before them."""
    for node in [node for node in net.nodes if node.op_type in ("Mul", "Add")]:
        constant = [name for name in node.input if name in net.weights]
        source = next((name for name in node.input if name not in net.weights), None)
        layer = None if source is None or len(constant) != 1 else net.producer(source)
        if layer is None or layer.op_type != "Conv" or net.only_user(layer.output[0]) is None:
            continue
        if not all(name in net.weights for name in layer.input[1:] if name):
            continue
        channels = net.weights[layer.input[1]].shape[0]
        operand = _of_channels(net.weights[constant[0]], channels)
        if operand is not None:
            _fold_into(net, layer, node, operand, channels)
    net.prune()


def _of_channels(value: Array, channels: int) -> Array | None:
    """The operand as one number a channel, or None where it is something else."""
    if value.size == 1:
        return np.full(channels, float(value.reshape(-1)[0]))
    shape = (1,) * (4 - value.ndim) + value.shape
    return value.reshape(-1).astype(np.float64) if shape == (1, channels, 1, 1) else None


def _fold_into(net: Net, layer: onnx.NodeProto, node: onnx.NodeProto, operand: Array, channels: int) -> None:
    weight = net.weights[layer.input[1]].astype(np.float64)
    biased = len(layer.input) > 2 and layer.input[2]
    bias = net.weights[layer.input[2]].astype(np.float64) if biased else np.zeros(channels)
    if node.op_type == "Mul":
        weight, bias = weight * operand.reshape(-1, *[1] * (weight.ndim - 1)), bias * operand
    else:
        bias = bias + operand
    names = [layer.input[0], net.weight(weight, "weight"), net.weight(bias, "bias")]
    del layer.input[:]
    layer.input.extend(names)
    net.nodes = [item for item in net.nodes if item is not node]
    net.rewire(node.output[0], layer.output[0])


def fuse_gelu(net: Net) -> None:
    """Turn x (1 + erf(x / sqrt 2)) / 2, spelled out in five nodes, into one Gelu (opset 20)."""
    for erf in [node for node in net.nodes if node.op_type == "Erf"]:
        found = _spelled_out_gelu(net, erf)
        if found is not None:
            source, last = found
            net.replace(last, [net.make("Gelu", [source])])
    net.prune()


def _spelled_out_gelu(net: Net, erf: onnx.NodeProto) -> tuple[str, onnx.NodeProto] | None:
    """The value that goes in and the last node of the chain."""
    divide = net.producer(erf.input[0])
    if divide is None or divide.op_type != "Div" or not _is_number(net, divide.input[1], math.sqrt(2)):
        return None
    source = divide.input[0]
    add = net.only_user(erf.output[0])
    times = None if add is None or not _joins(net, add, "Add", 1.0) else net.only_user(add.output[0])
    if times is None or times.op_type != "Mul" or source not in times.input:
        return None
    half = net.only_user(times.output[0])
    return (source, half) if half is not None and _joins(net, half, "Mul", 0.5) else None


def _joins(net: Net, node: onnx.NodeProto, operator: str, number: float) -> bool:
    return node.op_type == operator and any(_is_number(net, name, number) for name in node.input)


def _is_number(net: Net, name: str, number: float) -> bool:
    value = net.weights.get(name)
    return (
        value is not None
        and value.size == 1
        and math.isclose(float(value.reshape(-1)[0]), number, rel_tol=1e-5)
    )
