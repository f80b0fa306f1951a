"""All that an installed bundle gives a device to work with, loaded once."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge_client.recognisers import Recogniser, load_recogniser
from edge_client.store import InstalledBundle
from shared.bundle import Hint
from shared.errors import Code, GoodnoiseError
from shared.faces.detect import Detector

__all__ = ["DeviceNets", "load_nets"]

_FRAME, _SHAPE = "arcface112", (3, 112, 112)


@dataclass(frozen=True)
class DeviceNets:
    """Detector, surrogates, checkers and universal perturbations.

    `universals` are float32 of shape n 3 112 112, in [-1,1], in the ArcFace frame.
    """

    version: str
    profile: str
    detector: Detector
    surrogates: tuple[Recogniser, ...]
    checkers: tuple[Recogniser, ...]
    universals: npt.NDArray[np.float32]

    @property
    def recognisers(self) -> tuple[Recogniser, ...]:
        """Everyone who needs anchors."""
        return self.surrogates + self.checkers

    @property
    def asked(self) -> tuple[Recogniser, ...]:
        """Everyone who is asked by the check: no students, unless there is nobody else."""
        grown = tuple(r for r in self.recognisers if not r.card.teacher)
        return grown or self.recognisers


def load_nets(bundle: InstalledBundle, *, threads: int = 0) -> DeviceNets:
    """Load a bundle.

    Args:
        bundle: as installed.
        threads: threads for one call of a network; 0 for as many as there are cores.

    Raises:
        GoodnoiseError: CORRUPT when an object of the bundle cannot be used.
    """
    manifest = bundle.manifest
    members = {
        role: tuple(
            load_recogniser(member, bundle.read(member.object_name), threads=threads)
            for member in manifest.with_role(role)
        )
        for role in ("surrogate", "checker")
    }
    detector = manifest.with_role("detector")[0]
    universals = [_universal(bundle.read(hint.object_name), hint) for hint in manifest.hints]
    return DeviceNets(
        manifest.version,
        manifest.profile,
        Detector(bundle.read(detector.object_name)),
        members["surrogate"],
        members["checker"],
        np.stack(universals) if universals else np.zeros((0, *_SHAPE), np.float32),
    )


def _universal(content: bytes, hint: Hint) -> npt.NDArray[np.float32]:
    try:
        levels = np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)
    except Exception as error:  # numpy answers a damaged header with almost any exception
        raise GoodnoiseError(
            Code.CORRUPT, f"hint {hint.name} cannot be read; run 'goodnoise update'"
        ) from error
    if levels.dtype != np.int8 or levels.shape != _SHAPE or hint.frame != _FRAME:
        raise GoodnoiseError(
            Code.CORRUPT,
            f"hint {hint.name} is {levels.dtype} of shape {levels.shape} in frame {hint.frame!r}, expected "
            f"int8 of shape {_SHAPE} in {_FRAME!r}; run 'goodnoise update'",
        )
    return np.asarray(levels, np.float32) / np.float32(255.0)
