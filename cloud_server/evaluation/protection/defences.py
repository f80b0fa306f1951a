"""Decay: what is left of a row's protection against purifiers and against a recogniser trained on it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cloud_server.evaluation.protection.cloaks import Cloaked, held_out_faces, make_cloaks
from cloud_server.evaluation.protection.journal import Journal
from cloud_server.evaluation.protection.measure import Asked, Treatment
from cloud_server.evaluation.protection.pairs import read_pixels
from cloud_server.evaluation.protection.recognisers import Recogniser, detector_of
from cloud_server.evaluation.protection.rows import Row
from cloud_server.evaluation.protection.run import Run
from cloud_server.evaluation.protection.summary import rates
from cloud_server.hints.nets import require_torch
from models.store import load_card
from shared.bundle import sha256_hex
from shared.errors import Code, GoodnoiseError
from shared.files import atomic_file

__all__ = ["Training", "defences"]

Progress = Callable[[str, int, int], None]

# Faces that thresholds of adapted networks are measured on; 600 make about 180,000 pairs.
_HELD_OUT = 600


@dataclass(frozen=True, kw_only=True)
class Training:
    """How purifiers and adapted recognisers are trained.

    Args:
        lfw: LFW's folder; people of sets 4-6 who are in no pair are trained on.
        photos: that are cloaked.
        adapt: the network that is adapted.
        adapt_steps: batches of 16 photos.
        denoiser_steps: batches of 16 patches.
        seed: of both.
    """

    lfw: Path
    photos: int
    adapt: str
    adapt_steps: int
    denoiser_steps: int
    seed: int


def defences(
    run: Run, row: Row, settings: Training, *, purify: bool, adapt: bool, progress: Progress
) -> list[dict[str, Any]]:
    """Figures of each defence on the photos that `run` has saved for a row.

    Args:
        run: measured already.
        row: of kind 'device'.
        settings: see `Training`.
        purify: against purifiers.
        adapt: against an adapted recogniser, beside the same network as it was.
        progress: told what is done.

    Returns:
        Entries with `row`, `defence`, `pairs`, `recognisers` (as of `summary.rates`) and what was trained.

    Raises:
        GoodnoiseError: PRECONDITION without torch, INVALID_INPUT for a row or network that does not fit.
    """
    require_torch("a purifier or an adapted recogniser")
    import torch

    torch.set_num_threads(1)
    cloaks = make_cloaks(run, row, settings.lfw, settings.photos, progress=progress)
    entries = _purified(run, row, cloaks, settings, progress) if purify else []
    return entries + (_adapted(run, row, cloaks, settings, progress) if adapt else [])


def _purified(
    run: Run, row: Row, cloaks: Sequence[Cloaked], settings: Training, progress: Progress
) -> list[dict[str, Any]]:
    from cloud_server.evaluation.protection.purify import (
        Denoiser,
        plain_purifiers,
        purifier_of,
        train_denoiser,
    )

    what = f"denoiser for {row.name}"
    place = _place(run, row, "denoiser", settings)
    kept = _load(place)
    if kept is None:
        network, left = train_denoiser(
            cloaks, steps=settings.denoiser_steps, seed=settings.seed, progress=_named(progress, what)
        )
        _save(place, {"weights": network.state_dict(), "left": left})
    else:
        network, left = Denoiser(), kept["left"]
        network.load_state_dict(kept["weights"])
    treatments = {**plain_purifiers(), "denoiser": purifier_of(network)}
    entries = [
        _entry(run, row, name, run.recognisers, treatment, settings, progress)
        for name, treatment in treatments.items()
    ]
    entries[-1]["training"] = {"photos": len(cloaks), "cloak_energy_left": left}
    return entries


def _adapted(
    run: Run, row: Row, cloaks: Sequence[Cloaked], settings: Training, progress: Progress
) -> list[dict[str, Any]]:
    from cloud_server.evaluation.protection.adapt import adapt, as_recogniser, restored

    card = load_card(settings.adapt, run.store.folder)
    if card.frame != "arcface112" or card.metric != "cosine":
        raise GoodnoiseError(Code.INVALID_INPUT, f"{card.name!r} cannot be adapted; name one in 'arcface112'")
    place = _place(run, row, f"adapted {card.name}", settings)
    made = restored(run.store.read(card), kept) if (kept := _load(place)) else None
    if made is None:
        what = f"adapt {card.name} to {row.name}"
        made = adapt(
            run.store.read(card),
            cloaks,
            steps=settings.adapt_steps,
            seed=settings.seed,
            progress=_named(progress, what),
        )
        _save(place, made.state())
    faces, people = held_out_faces(run, settings.lfw, settings.photos, most=_HELD_OUT, progress=progress)
    asked = [
        as_recogniser(f"{card.name}, {state}", network, faces, people)
        for state, network in (("unadapted", made.original), ("adapted", made.network))
    ]
    entry = _entry(run, row, "adapted recogniser", asked, None, settings, progress)
    entry["training"] = {
        "photos": len(cloaks),
        "people": len({cloak.person for cloak in cloaks}),
        "cosine_before": made.cosine_before,
        "cosine_after": made.cosine_after,
        "faces_held_out": len(faces),
    }
    return [entry]


def _entry(
    run: Run,
    row: Row,
    defence: str,
    recognisers: Sequence[Recogniser],
    treatment: Treatment | None,
    settings: Training,
    progress: Progress,
) -> dict[str, Any]:
    """Measure saved photos again with what the defence does to them, or by whom it asks."""
    asked = Asked(recognisers, detector_of(run.store))
    key = _key(run, row, defence, settings)
    journal = Journal(run.folder / "defences.jsonl", [r.name for r in recognisers])
    saved = {name: r for name, r in run.results(row).items() if "photo" in r}
    for number, pair in enumerate(run.pairs, start=1):
        name = pair.task.name
        known = asked.known(pair) if name in saved and not journal.has(key, name) else None
        if known is not None:
            after = asked.after(known, read_pixels(run.folder / saved[name]["photo"]), name, treatment)
            journal.add(key, name, {"before": asked.before(known, treatment), "after": after})
        progress(f"{defence}, {row.name}", number, len(run.pairs))
    results = journal.of(key, run.names)
    return {
        "row": row.name,
        "defence": defence,
        "pairs": len(results),
        "recognisers": {r.name: rates(results, r.name, r.threshold) for r in recognisers},
    }


def _key(run: Run, row: Row, defence: str, settings: Training) -> str:
    """What a defence is depends on its training."""
    trained = (settings.photos, settings.adapt, settings.adapt_steps, settings.denoiser_steps, settings.seed)
    return f"{run.device.key(row)} {defence} {trained}"


def _place(run: Run, row: Row, what: str, settings: Training) -> Path:
    return run.folder / "networks" / f"{sha256_hex(_key(run, row, what, settings).encode())[:16]}.pt"


def _load(place: Path) -> dict[str, Any] | None:
    """What an earlier run trained."""
    import torch

    return dict(torch.load(place, weights_only=True)) if place.exists() else None


def _save(place: Path, state: dict[str, Any]) -> None:
    import torch

    place.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(place) as file:
        torch.save(state, file)


def _named(progress: Progress, what: str) -> Callable[[int, int], None]:
    return lambda done, total: progress(what, done, total)
