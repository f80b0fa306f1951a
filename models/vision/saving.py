"""Classifiers as one safe file: arrays and text, nothing that runs when it is read."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from models.vision.networks import build_classifier
from shared.errors import Code, GoodnoiseError
from shared.files import write_atomically

__all__ = ["Classifier", "load_classifier", "save_classifier"]

_ABOUT = "about"


@dataclass(frozen=True, eq=False)
class Classifier:
    """A classifier that was read.

    Args:
        network: images N C H W in [0,1] to logits N K, in evaluation mode.
        name: row of `NETWORKS`.
        classes: names of the outputs, K.
        shape: C H W of the images it was trained on.
        sha256: of the file, hexadecimal.
    """

    network: nn.Module
    name: str
    classes: tuple[str, ...]
    shape: tuple[int, int, int]
    sha256: str


def save_classifier(
    path: Path, network: nn.Module, *, name: str, classes: Sequence[str], shape: tuple[int, int, int]
) -> None:
    """Write an .npz file of the weights, whole or not at all; see `Classifier` for the arguments.

    Raises:
        OSError: as the system says it.
    """
    about = json.dumps({"name": name, "classes": list(classes), "shape": list(shape)})
    arrays = {f"weights/{key}": value.detach().cpu().numpy() for key, value in network.state_dict().items()}
    content = io.BytesIO()
    np.savez_compressed(content, allow_pickle=False, **{_ABOUT: np.array(about)}, **arrays)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, content.getvalue())


def load_classifier(path: Path) -> Classifier:
    """Read a file of `save_classifier`.

    Raises:
        GoodnoiseError: NOT_FOUND when there is none, CORRUPT for another kind of file.
    """
    if not path.is_file():
        raise GoodnoiseError(Code.NOT_FOUND, f"there is no classifier {path}; train one, or name its file")
    content = path.read_bytes()
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            about = json.loads(str(arrays[_ABOUT]))
            weights = {k[8:]: torch.from_numpy(arrays[k]) for k in arrays.files if k.startswith("weights/")}
        channels, height, width = (int(n) for n in about["shape"])
        network = build_classifier(
            about["name"], len(about["classes"]), channels=channels, size=min(height, width)
        )
        network.load_state_dict(weights)
    except Exception as error:
        raise GoodnoiseError(
            Code.CORRUPT, f"{path} is no classifier of models.vision; save it again"
        ) from error
    sha256 = hashlib.sha256(content).hexdigest()
    classes = tuple(str(c) for c in about["classes"])
    return Classifier(network.eval(), about["name"], classes, (channels, height, width), sha256)
