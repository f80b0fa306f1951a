"""Surrogates: the networks that samples are made against."""

from __future__ import annotations

import contextlib
import copy
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from shared.errors import Code, GoodnoiseError

__all__ = ["Shape", "Surrogate", "as_surrogate", "check_outputs", "evaluating", "sha256_of"]

# Channels, height, width.
Shape = tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class Surrogate:
    """A classifier and what it was made for.

    Args:
        network: maps images in [0,1], N C H W, to logits N K; normalisation is inside.
        classes: names of its outputs, K: the source's classes, or its groups for recipes against bias.
        shape: C H W.
        sha256: of its weights as they were given, hexadecimal; empty for a network that is still trained.
    """

    network: nn.Module
    classes: tuple[str, ...]
    shape: Shape
    sha256: str = ""

    def index(self, name: str) -> int:
        """The output that stands for a class.

        Raises:
            GoodnoiseError: PRECONDITION when it has none.
        """
        if name not in self.classes:
            raise GoodnoiseError(
                Code.PRECONDITION,
                f"the surrogate knows no class {name!r}, only {', '.join(self.classes)}; "
                "give one that was trained for this dataset's classes",
            )
        return self.classes.index(name)


def as_surrogate(network: nn.Module | Path | str, *, classes: Sequence[str], shape: Shape) -> Surrogate:
    """A module, or a file of one, as a surrogate that nothing changes any more.

    Args:
        network: a torch module, which is copied; `.onnx`, a graph with one input and logits as its output; or
            `.npz`, as `models.vision.saving` writes it.
        classes: names of the outputs, in their order; a file that has names of its own must have these.
        shape: C H W.

    Raises:
        GoodnoiseError: NOT_FOUND or INVALID_INPUT naming the file; PRECONDITION when outputs and classes
            differ.
    """
    module = copy.deepcopy(network) if isinstance(network, nn.Module) else _read(Path(network), classes)
    module = module.eval().requires_grad_(requires_grad=False)
    check_outputs(module, len(classes), shape)
    sha256 = sha256_of(module)
    return Surrogate(_without_batch_norm(module), tuple(classes), shape, sha256)


def sha256_of(network: nn.Module) -> str:
    """SHA-256 over all parameters and buffers, in the order of their names."""
    digest = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


@contextlib.contextmanager
def evaluating(*networks: nn.Module) -> Iterator[None]:
    """Inside, the networks are in evaluation mode and torch has one thread; afterwards all is as it was."""
    before, threads = [network.training for network in networks], torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        for network in networks:
            network.eval()
        yield
    finally:
        torch.set_num_threads(threads)
        for network, training in zip(networks, before, strict=True):
            network.train(training)


def _without_batch_norm(module: nn.Module) -> nn.Module:
    """The same function, quicker: batch norm that follows a convolution in a sequence becomes part of it."""
    for sequence in [part for part in module.modules() if type(part) is nn.Sequential]:
        for place, (conv, norm) in enumerate(pairwise(list(sequence))):
            if type(conv) is nn.Conv2d and type(norm) is nn.BatchNorm2d and norm.running_mean is not None:
                sequence[place] = fuse_conv_bn_eval(conv, norm)
                sequence[place + 1] = nn.Identity()
    return module.requires_grad_(requires_grad=False)


def _read(path: Path, classes: Sequence[str]) -> nn.Module:
    if not path.is_file():
        raise GoodnoiseError(Code.NOT_FOUND, f"surrogate: there is no file {path}; give a .onnx or .npz file")
    if path.suffix == ".onnx":
        from cloud_server.augment.onnx_file import read_classifier

        return read_classifier(path)
    if path.suffix == ".npz":
        return _read_npz(path, classes)
    raise GoodnoiseError(Code.INVALID_INPUT, f"surrogate: {path} is neither .onnx nor .npz; save it as one")


def _read_npz(path: Path, classes: Sequence[str]) -> nn.Module:
    from models.vision.saving import load_classifier

    saved = load_classifier(path)
    if tuple(saved.classes) != tuple(classes):
        raise GoodnoiseError(
            Code.PRECONDITION,
            f"surrogate: {path} was trained for {', '.join(saved.classes)}, the dataset has "
            f"{', '.join(classes)}; give one trained for these classes, or let one be trained",
        )
    return saved.network


def check_outputs(network: nn.Module, classes: int, shape: Shape) -> None:
    """Run two grey images.

    Raises:
        GoodnoiseError: PRECONDITION when the network cannot, or returns anything but logits 2 K.
    """
    with evaluating(network), torch.no_grad():
        try:
            outputs = tuple(network(torch.full((2, *shape), 0.5)).shape)
        except (RuntimeError, ValueError) as error:
            raise GoodnoiseError(
                Code.PRECONDITION, f"surrogate: it does not run on images of shape {shape}: {error}"
            ) from error
    if outputs != (2, classes):
        raise GoodnoiseError(
            Code.PRECONDITION,
            f"surrogate: for 2 images it returns {outputs}, expected logits {(2, classes)}, one a class",
        )
