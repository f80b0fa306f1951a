"""A hint from a folder of faces: training that can be interrupted, and its figures on people held out."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cloud_server.hints.data import FaceSet, split_people
from cloud_server.hints.files import write_hint
from cloud_server.hints.nets import Net
from cloud_server.hints.universal import Training, embed_all, to_levels, train
from shared.attack.attack import State
from shared.attack.universal import pack, unpack
from shared.bundle import sha256_hex
from shared.errors import Code, GoodnoiseError
from shared.files import write_atomically

__all__ = ["ENSEMBLE", "HELD_OUT", "Provenance", "Report", "evaluate", "state_path", "train_hint"]

Floats = npt.NDArray[np.float32]
ENSEMBLE = ("mobilefacenet-512", "mobilefacenet-192", "sface")
HELD_OUT = 0.15
_SAVE_EVERY = 5

# Called with batches done, batches in all, and the mean similarity to the clean faces in the last batch.
Report = Callable[[int, int, float], None]


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """How a hint came to be, in words, without paths of this machine.

    Args:
        data: what the faces are.
        command: what makes the hint again.
        backend: what computed the gradients.
        pose: which way the faces look.
    """

    data: str
    command: str
    backend: str
    pose: str = "all"


@dataclass(frozen=True)
class _Saved:
    """The file that an interrupted training leaves; `run` tells trainings apart."""

    path: Path
    run: str

    def save(self, state: State) -> None:
        stream = io.BytesIO()
        np.savez(stream, run=np.array(self.run), **pack(state))  # type: ignore[arg-type]
        write_atomically(self.path, stream.getvalue())

    def load(self) -> State | None:
        """The state, or None when there is no file."""
        if not self.path.exists():
            return None
        try:
            with np.load(self.path, allow_pickle=False) as stored:
                arrays = {name: stored[name] for name in stored.files}
            run = str(arrays.pop("run"))
            state = unpack(arrays, np.zeros(0, np.float32))
        except (OSError, ValueError, KeyError, EOFError) as error:
            raise GoodnoiseError(
                Code.CORRUPT, f"{self.path} cannot be read ({error}); remove it, or leave --resume out"
            ) from error
        if run != self.run:
            raise GoodnoiseError(
                Code.PRECONDITION,
                f"{self.path} is of a training with other faces, ensemble or settings; give the same, "
                "or leave --resume out to begin again",
            )
        return state


def state_path(out: Path) -> Path:
    """Where an interrupted training of `out` leaves its state."""
    return out.with_name(f".{out.name}.state.npz")


def train_hint(
    out: Path,
    faces: FaceSet,
    nets: Sequence[Net],
    settings: Training,
    *,
    provenance: Provenance,
    resume: bool = False,
    report: Report,
) -> dict[str, Any]:
    """Train a universal perturbation, measure it on people held out and write it with its sidecar.

    Args:
        out: the `.npy` file; `state_path(out)` holds the state until it is done.
        faces: of two people or more; 15 % of the people are held out.
        nets: the ensemble.
        settings: see `Training`.
        provenance: for the sidecar.
        resume: go on from an interrupted training, where there is one.
        report: called after each batch; may raise to stop.

    Returns:
        The sidecar's content.

    Raises:
        GoodnoiseError: PRECONDITION when there is too little data or the saved state is of another training.
    """
    used, held = split_people(faces, share=HELD_OUT, seed=settings.seed)
    saved = _Saved(state_path(out), _run_id(used, nets, settings))
    state = _interruptible(saved, saved.load() if resume else None, used, nets, settings, report)
    levels = to_levels(state, settings.levels)
    ensemble = ", ".join(net.name for net in nets)
    people = len(set(used.people))
    sidecar: dict[str, Any] = {
        "trained_on": f"{provenance.data}: {len(used)} faces of {people} people; ensemble {ensemble}",
        "command": provenance.command,
        "backend": provenance.backend,
        "pose": provenance.pose,
        "data": {
            "text": provenance.data,
            "faces": len(used),
            "people": people,
            "faces_sha256": _faces_id(used),
        },
        "ensemble": {net.name: net.sha256 for net in nets},
        "settings": settings.to_dict(),
        "held_out": evaluate(levels, held, nets, seed=settings.seed),
    }
    write_hint(out, levels, sidecar)
    saved.path.unlink(missing_ok=True)
    return sidecar


def evaluate(
    levels: npt.NDArray[np.int8], faces: FaceSet, nets: Sequence[Net], *, seed: int
) -> dict[str, Any]:
    """Mean cosine between clean and perturbed embedding of each face, beside random signs of the same size.

    Args:
        levels: int8 3 112 112.
        faces: of people that were not trained on.
        nets: asked one by one.
        seed: of the random signs.
    """
    clean = faces.images()
    size = int(np.abs(levels).max())
    signs = np.random.default_rng(seed).choice(np.array([-size, size], np.float32), clean.shape)
    rows = {
        net.name: {
            "similarity": _similarity(net, clean, levels.astype(np.float32)),
            "similarity_random_signs": _similarity(net, clean, signs),
        }
        for net in nets
    }
    drop = 1.0 - float(np.mean([row["similarity"] for row in rows.values()]))
    return {
        "people": len(set(faces.people)),
        "faces": len(faces),
        "mean_similarity_drop": round(drop, 4),
        "recognisers": rows,
    }


def _interruptible(
    saved: _Saved,
    state: State | None,
    faces: FaceSet,
    nets: Sequence[Net],
    settings: Training,
    report: Report,
) -> State:
    last = state

    def on_batch(now: State, total: int, loss: float) -> None:
        nonlocal last
        last = now
        if now.step % _SAVE_EVERY == 0:
            saved.save(now)
        report(now.step, total, -loss)

    try:
        return train(faces, nets, settings, state=state, on_batch=on_batch)
    except BaseException:
        if last is not None:
            saved.save(last)
        raise


def _similarity(net: Net, clean: Floats, levels: Floats) -> float:
    moved = np.clip(clean + levels / np.float32(255.0), 0.0, 1.0).astype(np.float32)
    return round(float((embed_all(net, clean) * embed_all(net, moved)).sum(axis=1).mean()), 4)


def _faces_id(faces: FaceSet) -> str:
    return sha256_hex(faces.levels.tobytes() + "\n".join(faces.people).encode())


def _run_id(faces: FaceSet, nets: Sequence[Net], settings: Training) -> str:
    parts = [_faces_id(faces), [(net.name, net.sha256) for net in nets], settings.to_dict()]
    return sha256_hex(json.dumps(parts, sort_keys=True).encode())
