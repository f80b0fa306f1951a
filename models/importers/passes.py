"""Passes: small edits that make an imported network canonical without changing what it computes."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from models.importers.net import Array, Net, attributes

__all__ = [
    "any_batch_size",
    "drop_identities",
    "explicit_pads",
    "fold_batch_norm",
    "fold_constants",
    "fuse_prelu",
    "merge_leading_affine",
    "share_numbers",
]

_HANDS_THROUGH = {"Identity", "Dropout"}
_DRAWS_NUMBERS = {
    "RandomNormal",
    "RandomUniform",
    "RandomNormalLike",
    "RandomUniformLike",
    "Bernoulli",
    "Multinomial",
}


def fold_constants(net: Net, opset: int) -> None:
    """Compute every node that depends on weights alone, `DequantizeLinear` of quantised weights included."""
    kept = []
    for node in net.nodes:
        known = all(name in net.weights for name in node.input if name)
        if not known or node.op_type in _DRAWS_NUMBERS:
            kept.append(node)
            continue
        net.weights.update(zip(node.output, _run_alone(node, net.weights, opset), strict=True))
    net.nodes = kept


def _run_alone(node: onnx.NodeProto, weights: dict[str, Array], opset: int) -> list[Array]:
    if node.op_type == "Constant":
        return [_constant(node)]
    if node.op_type == "DequantizeLinear":
        return [_dequantised(node, [weights[name] for name in node.input if name])]
    inputs = [helper.make_tensor_value_info(name, 0, None) for name in node.input if name]
    outputs = [helper.make_tensor_value_info(name, 0, None) for name in node.output]
    graph = helper.make_graph([node], "one", inputs, outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    results = ReferenceEvaluator(model).run(None, {name: weights[name] for name in node.input if name})
    return [np.asarray(result) for result in results]


def _constant(node: onnx.NodeProto) -> Array:
    values = attributes(node)
    value = next(iter(values.values()))
    if isinstance(value, onnx.TensorProto):
        return np.asarray(numpy_helper.to_array(value))
    return np.asarray(value, np.float32 if "value_float" in values or "value_floats" in values else np.int64)


def _dequantised(node: onnx.NodeProto, inputs: list[Array]) -> Array:
    # (q - zero) * scale, with one scale a tensor, an entry of `axis`, or `block_size` entries of `axis`.
    values, stored = attributes(node), inputs[0].astype(np.int32)
    axis, block = values.get("axis", 1), values.get("block_size", 0)

    def spread(part: Array) -> Array:
        if block:
            return np.repeat(part, block, axis).take(range(stored.shape[axis]), axis)
        return (
            part.reshape([-1 if i == axis % stored.ndim else 1 for i in range(stored.ndim)])
            if part.ndim
            else part
        )

    scale = spread(inputs[1].astype(np.float32))
    zero = spread(inputs[2].astype(np.int32)) if len(inputs) > 2 else 0
    return np.asarray((stored - zero) * scale, np.float32)


def drop_identities(net: Net) -> None:
    """Remove nodes that do nothing at inference."""
    for node in [node for node in net.nodes if node.op_type in _HANDS_THROUGH]:
        net.bypass(node)


def explicit_pads(net: Net) -> None:
    """Write out automatic pads where they do not depend on the image's size: at a stride of 1."""
    for node in net.nodes:
        values = attributes(node)
        automatic = values.get("auto_pad", b"NOTSET").decode()
        if automatic not in ("SAME_UPPER", "SAME_LOWER") or set(values.get("strides", [1])) != {1}:
            continue
        kernel = values.get("kernel_shape") or net.weights[node.input[1]].shape[2:]
        dilations = values.get("dilations", [1] * len(kernel))
        totals = [(size - 1) * dilation for size, dilation in zip(kernel, dilations, strict=True)]
        small, large = [total // 2 for total in totals], [total - total // 2 for total in totals]
        pads = small + large if automatic == "SAME_UPPER" else large + small
        kept = [item for item in node.attribute if item.name not in ("auto_pad", "pads")]
        del node.attribute[:]
        node.attribute.extend([*kept, helper.make_attribute("pads", pads)])


def fold_batch_norm(net: Net) -> None:
    """Fold batch norm into the layer before it or the dense layer after it, else leave a multiply and an add.

    In front of a padded convolution it cannot be folded: zeros outside the picture are not normalised.
    """
    for node in [node for node in net.nodes if node.op_type == "BatchNormalization"]:
        gamma, beta, mean, variance = (net.weights[name].astype(np.float64) for name in node.input[1:5])
        scale = gamma / np.sqrt(variance + attributes(node).get("epsilon", 1e-5))
        shift = beta - mean * scale
        if not (_into_layer_before(net, node, scale, shift) or _into_dense_after(net, node, scale, shift)):
            _as_affine(net, node, scale, shift)


def _into_layer_before(net: Net, node: onnx.NodeProto, scale: Array, shift: Array) -> bool:
    layer = net.producer(node.input[0])
    if layer is None or net.only_user(layer.output[0]) is None or not _has_plain_weights(net, layer):
        return False
    weight, bias = _weight_and_bias(net, layer, len(scale))
    axis = 1 if layer.op_type == "Gemm" and not attributes(layer).get("transB", 0) else 0
    along = [1] * weight.ndim
    along[axis] = -1
    _set_weights(net, layer, weight * scale.reshape(along), bias * scale + shift)
    net.bypass(node)
    return True


def _into_dense_after(net: Net, node: onnx.NodeProto, scale: Array, shift: Array) -> bool:
    flatten = net.only_user(node.output[0])
    dense = net.only_user(flatten.output[0]) if flatten is not None and flatten.op_type == "Flatten" else None
    if flatten is None or attributes(flatten).get("axis", 1) != 1:
        return False
    if dense is None or dense.op_type != "Gemm" or not _has_plain_weights(net, dense):
        return False
    transposed = bool(attributes(dense).get("transB", 0))
    stored = net.weights[dense.input[1]]
    rows = stored.shape[0] if transposed else stored.shape[1]
    weight, bias = _weight_and_bias(net, dense, rows)
    matrix = weight if transposed else weight.T
    area = matrix.shape[1] // len(scale)
    scaled = matrix * np.repeat(scale, area)
    _set_weights(net, dense, scaled if transposed else scaled.T, bias + matrix @ np.repeat(shift, area))
    net.bypass(node)
    return True


def _has_plain_weights(net: Net, layer: onnx.NodeProto) -> bool:
    if layer.op_type not in ("Conv", "Gemm") or not all(
        name in net.weights for name in layer.input[1:] if name
    ):
        return False
    values = attributes(layer)
    return not values.get("transA", 0) and values.get("alpha", 1.0) == 1.0 and values.get("beta", 1.0) == 1.0


def _weight_and_bias(net: Net, layer: onnx.NodeProto, size: int) -> tuple[Array, Array]:
    weight = net.weights[layer.input[1]].astype(np.float64)
    has_bias = len(layer.input) > 2 and layer.input[2]
    bias = net.weights[layer.input[2]].astype(np.float64) if has_bias else np.zeros(size)
    return weight, np.broadcast_to(bias.reshape(-1), (size,))


def _set_weights(net: Net, layer: onnx.NodeProto, weight: Array, bias: Array) -> None:
    names = [layer.input[0], net.weight(weight, "weight"), net.weight(bias, "bias")]
    del layer.input[:]
    layer.input.extend(names)


def _as_affine(net: Net, node: onnx.NodeProto, scale: Array, shift: Array) -> None:
    along = (1, -1, 1, 1)
    multiply = net.make("Mul", [node.input[0], net.weight(scale.reshape(along), "scale")])
    add = net.make("Add", [multiply.output[0], net.weight(shift.reshape(along), "shift")])
    net.replace(node, [multiply, add])


def fuse_prelu(net: Net) -> None:
    """Turn relu(x) + a (x - |x|), which some converters write for PReLU, into one PRelu with slope 2a."""
    for add in [node for node in net.nodes if node.op_type == "Add"]:
        found = _spelled_out_prelu(net, add)
        if found is not None:
            source, slope = found
            net.replace(add, [net.make("PRelu", [source, net.weight(2 * slope, "slope")])])
    net.prune()


def _spelled_out_prelu(net: Net, add: onnx.NodeProto) -> tuple[str, Array] | None:
    positive, scaled = (net.producer(name) for name in add.input)
    if positive is None or scaled is None or (positive.op_type, scaled.op_type) != ("Relu", "Mul"):
        return None
    slopes = [net.weights[name] for name in scaled.input if name in net.weights]
    differences = [net.producer(name) for name in scaled.input if name not in net.weights]
    if len(slopes) != 1 or len(differences) != 1 or differences[0] is None:
        return None
    minus, source = differences[0], positive.input[0]
    magnitude = net.producer(minus.input[1]) if minus.op_type == "Sub" else None
    if magnitude is None or magnitude.op_type != "Abs":
        return None
    return (source, slopes[0]) if minus.input[0] == magnitude.input[0] == source else None


def any_batch_size(net: Net) -> None:
    """Free reshapes of the batch size of 1 that exporters write into them."""
    for node in [node for node in net.nodes if node.op_type == "Reshape" and node.input[1] in net.weights]:
        shape = net.weights[node.input[1]].reshape(-1)
        if len(shape) < 2 or shape[0] != 1:
            continue
        if len(shape) == 2:
            net.replace(node, [net.make("Flatten", [node.input[0]], axis=1)])
        else:
            # 0 copies the input's own size.
            node.input[1] = net.weight(np.concatenate([[0], shape[1:]]).astype(np.int64), "shape")


def share_numbers(net: Net) -> None:
    """Let nodes read one weight where several are the same single number."""
    first: dict[tuple[str, tuple[int, ...], bytes], str] = {}
    for node in net.nodes:
        for place, name in enumerate(node.input):
            value = net.weights.get(name)
            if value is not None and value.size == 1:
                node.input[place] = first.setdefault((value.dtype.str, value.shape, value.tobytes()), name)


def merge_leading_affine(net: Net) -> None:
    """Merge additions and multiplications that follow the input into one multiply and one add per channel."""
    scale, shift = np.ones((1, 3, 1, 1)), np.zeros((1, 3, 1, 1))
    name, chain = net.input, 0
    while (node := net.only_user(name)) is not None:
        operand = _channel_operand(net, node, name)
        if operand is None:
            break
        scale, shift = _apply(node.op_type, scale, shift, operand)
        name, chain = node.output[0], chain + 1
    if chain < 3:
        return
    multiply = net.make("Mul", [net.input, net.weight(scale, "scale")])
    add = net.make("Add", [multiply.output[0], net.weight(shift, "shift")])
    net.rewire(name, add.output[0])
    net.nodes[:0] = [multiply, add]
    net.prune()


def _channel_operand(net: Net, node: onnx.NodeProto, name: str) -> Array | None:
    # The constant may stand first where order does not matter.
    places = {"Add": (0, 1), "Mul": (0, 1), "Sub": (1,), "Div": (1,)}.get(node.op_type, ())
    others = [node.input[place] for place in places if node.input[place] in net.weights]
    if len(others) != 1 or name not in node.input:
        return None
    value = net.weights[others[0]].astype(np.float64)
    return value.reshape((1,) * (4 - value.ndim) + value.shape) if _per_channel(value) else None


def _per_channel(value: Array) -> bool:
    shape = (1,) * (4 - value.ndim) + value.shape
    return len(shape) == 4 and shape[0] == shape[2] == shape[3] == 1 and shape[1] in (1, 3)


def _apply(op: str, scale: Array, shift: Array, operand: Array) -> tuple[Array, Array]:
    if op in ("Mul", "Div"):
        factor = operand if op == "Mul" else 1.0 / operand
        return scale * factor, shift * factor
    return scale, shift + (operand if op == "Add" else -operand)
