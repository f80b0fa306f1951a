"""dlib's face ResNet from face-api's weights: the architecture is written here, the file gives numbers only.

Source: `dnn_face_recognition_ex` of dlib for the architecture; face-api for padding and manifest.
Paddings follow face-api: convolutions that shrink are unpadded, and where their result is one pixel smaller
than the pooled shortcut it is filled with zeros below and on the right.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from models.importers.net import Array, Net
from shared.errors import Code, GoodnoiseError

__all__ = ["read_faceapi", "read_manifest"]

INPUT_SIDE = 150


@dataclass(frozen=True)
class Stage:
    """Residual blocks of one width; the first of a shrinking stage halves the picture."""

    channels: int
    shrinking: str  # name of the shrinking block in front, or empty
    plain: tuple[str, ...]


STAGES = (
    Stage(32, "", ("conv32_1", "conv32_2", "conv32_3")),
    Stage(64, "conv64_down", ("conv64_1", "conv64_2", "conv64_3")),
    Stage(128, "conv128_down", ("conv128_1", "conv128_2")),
    Stage(256, "conv256_down", ("conv256_1", "conv256_2")),
    Stage(256, "conv256_down_out", ()),
)


def read_manifest(manifest: bytes, content: bytes, *, source: str) -> dict[str, Array]:
    """The named float arrays of a tfjs weights manifest; 8-bit values are q * scale + min.

    Raises:
        GoodnoiseError: CORRUPT when manifest and weights do not fit each other.
    """
    arrays: dict[str, Array] = {}
    offset = 0
    try:
        for entry in (entry for group in json.loads(manifest) for entry in group["weights"]):
            values, size = _values(entry, content, offset)
            arrays[entry["name"]] = values.reshape(entry["shape"])
            offset += size
    except (KeyError, TypeError, ValueError) as error:
        raise _corrupt(source, f"{type(error).__name__}: {error}") from error
    if offset != len(content):
        raise _corrupt(source, f"{len(content) - offset} bytes are left over")
    return arrays


def _corrupt(source: str, reason: str) -> GoodnoiseError:
    return GoodnoiseError(Code.CORRUPT, f"the weights of {source} cannot be read ({reason}); fetch it again")


def _values(entry: dict[str, Any], content: bytes, offset: int) -> tuple[Array, int]:
    # Returns the flat values and how many bytes they took.
    count, quantised = math.prod(entry["shape"]), entry.get("quantization")
    stored = quantised["dtype"] if quantised else entry["dtype"]
    if stored != ("uint8" if quantised else "float32"):
        raise ValueError(f"{entry['name']} is stored as {stored}")
    raw = np.frombuffer(content, "<f4" if quantised is None else np.uint8, count, offset)
    scale, low = (quantised["scale"], quantised["min"]) if quantised else (1.0, 0.0)
    return raw.astype(np.float64) * scale + low, raw.nbytes


def read_faceapi(manifest: bytes, content: bytes, *, source: str) -> Net:
    """The network from normalised faces, N 3 150 150, to 128 numbers, with its scale layers folded."""
    build = _Builder(read_manifest(manifest, content, source=source))
    name, side = build.convolution("face", "conv32_down", side=INPUT_SIDE, stride=2, relu=True)
    name, side = build.net.add("MaxPool", [name], kernel_shape=[3, 3], strides=[2, 2]), (side - 3) // 2 + 1
    channels = 32
    for stage in STAGES:
        if stage.shrinking:
            name, side = build.shrinking(name, stage.shrinking, side=side, widen=stage.channels - channels)
            channels = stage.channels
        for block in stage.plain:
            name = build.residual(name, block, side=side)
    pooled = build.net.add("Flatten", [build.net.add("GlobalAveragePool", [name])], axis=1)
    build.net.output = build.net.add("MatMul", [pooled, build.net.weight(build.arrays["fc"], "fc")])
    return build.net


class _Builder:
    """Adds the blocks to a net; methods return the name of their result, and its side where that changes."""

    def __init__(self, arrays: dict[str, Array]) -> None:
        self.arrays = arrays
        self.net = Net("face", "")

    def convolution(self, name: str, layer: str, *, side: int, stride: int, relu: bool) -> tuple[str, int]:
        # tfjs keeps filters as height, width, in, out.
        filters = self.arrays[f"{layer}/conv/filters"].transpose(3, 2, 0, 1)
        scale = self.arrays[f"{layer}/scale/weights"]
        bias = self.arrays[f"{layer}/conv/bias"] * scale + self.arrays[f"{layer}/scale/biases"]
        kernel = filters.shape[2]
        margin = 0 if stride > 1 else kernel // 2
        out = self.net.add(
            "Conv",
            [
                name,
                self.net.weight(filters * scale[:, None, None, None], "weight"),
                self.net.weight(bias, "bias"),
            ],
            kernel_shape=[kernel, kernel],
            strides=[stride, stride],
            pads=[margin] * 4,
        )
        return (self.net.add("Relu", [out]) if relu else out), (side + 2 * margin - kernel) // stride + 1

    def residual(self, name: str, block: str, *, side: int) -> str:
        first, _ = self.convolution(name, f"{block}/conv1", side=side, stride=1, relu=True)
        second, _ = self.convolution(first, f"{block}/conv2", side=side, stride=1, relu=False)
        return self.net.add("Relu", [self.net.add("Add", [second, name])])

    def shrinking(self, name: str, block: str, *, side: int, widen: int) -> tuple[str, int]:
        first, inner = self.convolution(name, f"{block}/conv1", side=side, stride=2, relu=True)
        second, _ = self.convolution(first, f"{block}/conv2", side=inner, stride=1, relu=False)
        pooled = self.net.add("AveragePool", [name], kernel_shape=[2, 2], strides=[2, 2])
        outer = side // 2
        if widen:
            pooled = self._pad(pooled, channels=widen, below=0)
        if outer > inner:
            second = self._pad(second, channels=0, below=outer - inner)
        return self.net.add("Relu", [self.net.add("Add", [pooled, second])]), outer

    def _pad(self, name: str, *, channels: int, below: int) -> str:
        pads = np.array([0, 0, 0, 0, 0, channels, below, below], np.int64)
        return self.net.add("Pad", [name, self.net.weight(pads, "pads")], mode="constant")
