"""What the three have in common: images, networks that are trained once, sources, and results on the disk."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from cloud_server.augment.evaluate.datasets import load_pair
from cloud_server.augment.rows import Rows, scale_of
from cloud_server.augment.surrogate import Surrogate, as_surrogate
from cloud_server.paper.features.settings import Protocol
from models.precision import Precision, in_precision
from models.vision.cifar import Labelled
from models.vision.networks import build_classifier
from models.vision.saving import load_classifier, save_classifier
from models.vision.training import Images, Labels, fit, predict
from shared.files import storage_errors, write_atomically

__all__ = [
    "Report",
    "accuracy",
    "attacked",
    "images_of",
    "keep_arrays",
    "keyed",
    "rows_of",
    "settings_of",
    "trained",
    "work_folder",
    "write_results",
]

# Called with what is under way, and how much of it is done and in all.
Report = Callable[[str, int, int], None]


def images_of(data: Path, out: Path, protocol: Protocol) -> tuple[Labelled, Labelled]:
    """Training and test images; of the first as many as the protocol says, of every class as many.

    Raises:
        GoodnoiseError: for data that are not there or cannot be read.
    """
    train, test = load_pair(data, cache=out / "work")
    if protocol.images is None:
        return train, test
    rng = np.random.default_rng([protocol.seed, 21])
    each = max(1, protocol.images // len(train.classes))
    kept = [rng.permutation(np.flatnonzero(train.labels == k))[:each] for k in range(len(train.classes))]
    return train.take(np.sort(np.concatenate(kept))), test


def work_folder(out: Path, protocol: Protocol, train: Labelled) -> Path:
    """Where the attacked network is kept with what is made against it: of its settings and images alone."""
    digest = hashlib.sha256(f"{protocol.first!r} {train.classes}".encode())
    digest.update(train.labels.tobytes())
    digest.update(np.ascontiguousarray(train.images).data)
    folder = out / "work" / f"{protocol.network}-{digest.hexdigest()[:12]}"
    with storage_errors(out, setting="--out"):
        folder.mkdir(parents=True, exist_ok=True)
    return folder


def keyed(name: str, *settings: object) -> str:
    """The name with a digest of the settings: of others it is another."""
    return f"{name}-{hashlib.sha256(repr(settings).encode()).hexdigest()[:8]}"


def attacked(surrogate: Surrogate, gradients: Precision) -> Surrogate:
    """The surrogate as gradients are taken of it.

    Raises:
        GoodnoiseError: PRECONDITION for a precision that this machine does not have.
    """
    return replace(surrogate, network=in_precision(surrogate.network, gradients))


def settings_of(protocol: Protocol, train: Labelled) -> dict[str, Any]:
    """What a reader of the figures needs to make them again."""
    return {**asdict(protocol), "images": len(train.labels)}


def trained(
    name: str,
    images: Images,
    labels: Labels,
    classes: tuple[str, ...],
    protocol: Protocol,
    *,
    work: Path,
    report: Report,
) -> Surrogate:
    """A network, trained or read back; an interrupted training goes on.

    Args:
        name: of the file, by what it learnt from.
        images: uint8 N C H W.
        labels: N.
        classes: names of the labels.
        protocol: network and training.
        work: folder of the networks.
        report: called after each update.

    Raises:
        GoodnoiseError: CORRUPT for a file of another network; PERMISSION or EXHAUSTED from the disk.
    """
    path = work / f"{name}.npz"
    shape = (int(images.shape[1]), int(images.shape[2]), int(images.shape[3]))
    if path.is_file():
        network = load_classifier(path).network
    else:
        network = _fresh(protocol, len(classes), shape)
        total = protocol.training.updates
        fit(
            network,
            images,
            labels,
            protocol.training,
            seed=protocol.seed,
            on_update=lambda done, _loss: report(f"training {name}", done, total),
            state=work / f"{name}.state",
        )
        save_classifier(path, network, name=protocol.network, classes=classes, shape=shape)
    return as_surrogate(network, classes=classes, shape=shape)


def _fresh(protocol: Protocol, classes: int, shape: tuple[int, int, int]) -> nn.Module:
    """A network of the seed's weights, whatever torch's own generator did before."""
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(protocol.seed)
        return build_classifier(protocol.network, classes, channels=shape[0], size=shape[1])


def rows_of(data: Labelled) -> Rows:
    """Images in memory as a source of the engine."""
    pixels = np.ascontiguousarray(data.images.transpose(0, 2, 3, 1))
    return Rows(pixels, scale_of(pixels, None), data.labels, data.classes)


def keep_arrays(path: Path, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """An .npz, whole or not at all."""
    file = io.BytesIO()
    np.savez(file, **arrays)  # type: ignore[arg-type]
    with storage_errors(path.parent, setting="--out"):
        write_atomically(path, file.getvalue())


def accuracy(surrogate: Surrogate, test: Labelled) -> float:
    """Share of the test images that are named right, in [0,1]."""
    return float((predict(surrogate.network, test.images).argmax(axis=1) == test.labels).mean())


def write_results(out: Path, name: str, figures: dict[str, Any], markdown: str) -> None:
    """NAME.json and NAME.md, each whole or not at all."""
    with storage_errors(out, setting="--out"):
        text = json.dumps(figures, indent=1, sort_keys=True, allow_nan=False) + "\n"
        write_atomically(out / f"{name}.json", text.encode())
        write_atomically(out / f"{name}.md", markdown.encode())
