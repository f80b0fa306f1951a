"""What a program hears in the audio challenge, and the report's words on it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from cloud_server.captcha.audio.bank import VARIANTS, Bank, record_bank
from cloud_server.captcha.audio.engine import Engine, find_engine
from cloud_server.captcha.audio.listener import TemplateListener
from cloud_server.captcha.audio.mix import Mixed, mix
from cloud_server.captcha.audio.speaker import DigitSpeaker, open_speaker
from cloud_server.captcha.audio.words import DIGITS
from cloud_server.captcha.report.harvest import Progress
from cloud_server.captcha.report.rows import Tries
from cloud_server.captcha.report.scores import Share, characters, whole, within
from shared.errors import GoodnoiseError
from shared.files import write_atomically

__all__ = ["SAYS", "SoundPlan", "measure_sound", "sound_figures", "sound_part"]

SAYS = (
    "Sound is a way in for people who cannot use the image. It is no barrier to a program that was made for "
    "it: what holds programs back are the limits on tries, and that each challenge and token is good once."
)
_PATIENCE = 600.0  # seconds that recordings may take on a busy machine
# Digits above the noise, dB: as issued, none that is heard, and nothing but noise.
_QUIET, _DROWNED = 60.0, -60.0


@dataclass(frozen=True, kw_only=True)
class SoundPlan:
    """What is measured on sounds.

    Args:
        sounds: that the solver reads, in each condition.
        language: of the digits.
        digits: of a sound, as the service speaks them.
        steps: of the solver's training, one solver each: the learning curve.
        training: changes of `audio.solver.TrainingPlan`, by name.
        seed: of sounds and training.
    """

    sounds: int = 200
    language: str = "en"
    digits: int = 6
    steps: tuple[int, ...] = (100, 200, 400)
    training: dict[str, Any] = field(default_factory=dict)
    seed: int = 0


def measure_sound(
    plan: SoundPlan | None, work: Path, *, tries: Sequence[Tries], progress: Progress
) -> dict[str, Any]:
    """The report's section on what the service would play on this machine, or why there is none.

    Args:
        plan: how much; None for nothing.
        work: as of `sound_figures`; the others too.
        tries: of the service's limits.
        progress: told after each solver.
    """
    if plan is None:
        return {"absent": "it was not asked for", "says": SAYS}
    try:
        engine = find_engine()
        speaker = open_speaker(engine=engine, patience=_PATIENCE)
        return sound_figures(speaker, engine, plan, work, tries=tries, progress=progress)
    except GoodnoiseError as error:
        return {"absent": error.message, "says": SAYS}


def sound_figures(
    speaker: DigitSpeaker,
    engine: Engine,
    plan: SoundPlan,
    work: Path,
    *,
    tries: Sequence[Tries],
    progress: Progress,
) -> dict[str, Any]:
    """Trains own digit solvers and lets them read what the service would play now. Needs torch.

    The attacker has engine, code and style, not the service's recordings. Each read the same digits in three
    conditions: as issued, without noise, and drowned in it; the last two are the controls.

    Args:
        speaker: as the service's.
        engine: what the attacker records with.
        plan: how much.
        work: folder; figures that are in it are not measured again.
        tries: of the service's limits.
        progress: told after each solver.

    Raises:
        GoodnoiseError: as of `record_bank`.
    """
    bank = speaker.bank(plan.language)
    path = work / f"sound-{_key(bank, speaker, plan)}.json"
    if path.is_file():
        found: dict[str, Any] = json.loads(path.read_text())
    else:
        found = _measured(speaker, bank, engine, plan, progress)
        work.mkdir(parents=True, exist_ok=True)
        write_atomically(path, json.dumps(found).encode())
    p = Share(**found["curve"][-1]["issued"]["whole"])
    return {**found, "success_within": [{**asdict(k), **asdict(within(p, k.tries))} for k in tries]}


def _measured(
    speaker: DigitSpeaker, bank: Bank, engine: Engine, plan: SoundPlan, progress: Progress
) -> dict[str, Any]:
    from cloud_server.captcha.audio.solver import TrainingPlan, train_solver

    texts = _texts(plan)
    heard = _sounds(speaker, bank, plan, texts)
    own = record_bank(plan.language, engine, np.random.default_rng([plan.seed, 1]), variants=3 * VARIANTS)
    curve = []
    for number, steps in enumerate(plan.steps):
        training = TrainingPlan(**{"length": plan.digits, **plan.training, "steps": steps})
        solver = train_solver(own, speaker.style, np.random.default_rng([plan.seed, 2, number]), training)
        point: dict[str, Any] = {"sounds": steps * training.batch}
        for condition, sounds in heard.items():
            read = [solver.read(each.samples, plan.digits) for each in sounds]
            shares = {"whole": whole(texts, read), "digits": characters(texts, read)}
            point[condition] = {name: asdict(found) for name, found in shares.items()}
        curve.append(point)
        progress("digit solvers that learn and read sounds", number + 1, len(plan.steps))
    listener = TemplateListener.of(bank)
    return {
        "language": plan.language,
        "sounds": plan.sounds,
        "digits": plan.digits,
        "snr_db": speaker.style.snr,
        "solver": "own network, trained on sounds of the same make from recordings of its own",
        "curve": curve,
        # Told where the digits are, which no solver is; no person listened.
        "template_listener": listener.share_heard(list(zip(texts, heard["issued"], strict=True))),
        "says": SAYS,
    }


def _texts(plan: SoundPlan) -> list[str]:
    rows = np.random.default_rng([plan.seed, 3]).integers(len(DIGITS), size=(plan.sounds, plan.digits))
    return ["".join(DIGITS[place] for place in row) for row in rows]


def _sounds(
    speaker: DigitSpeaker, bank: Bank, plan: SoundPlan, texts: Sequence[str]
) -> dict[str, list[Mixed]]:
    levels = {"issued": speaker.style.snr, "quiet": _QUIET, "drowned": _DROWNED}
    return {
        name: [
            # Equal draws in each condition, so that the noise's level is all that differs.
            mix(text, bank, replace(speaker.style, snr=snr), np.random.default_rng([plan.seed, 4, number]))
            for number, text in enumerate(texts)
        ]
        for name, snr in levels.items()
    }


def _key(bank: Bank, speaker: DigitSpeaker, plan: SoundPlan) -> str:
    digest = hashlib.sha256(f"{plan!r} {speaker.style!r}".encode())
    for variants in bank.clips:
        for clip in variants:
            digest.update(clip.tobytes())
    return digest.hexdigest()[:16]


def sound_part(report: Mapping[str, Any]) -> tuple[str, list[str], Any]:
    """The section: heading, paragraphs, and a table of a head and rows."""
    found = report["sound"]
    if "absent" in found:
        return "Sound", [found["says"], f"Not measured: {found['absent']}."], None
    head = ("sounds learnt from", *(f"{name}, {part}" for name in _NAMES.values() for part in _PARTS))
    rows = [
        (str(point["sounds"]), *(_words(point[name][part]) for name in _NAMES for part in _PARTS))
        for point in found["curve"]
    ]
    tries = ", ".join(
        f"{k['tries']} tries ({k['who']}, {k['limit']}) {100 * k['value']:.0f} %"
        for k in found["success_within"]
    )
    within_limits = f"At least one right answer within {tries}."
    return "Sound", [found["says"], _method(found), within_limits], (head, rows)


_NAMES = {"issued": "as issued", "quiet": "without noise", "drowned": "noise alone"}
_PARTS = ("whole", "digits")


def _method(found: Mapping[str, Any]) -> str:
    return (
        f"{found['sounds']} sounds of {found['digits']} digits ({found['language']}), speech "
        f"{found['snr_db']:g} dB above the noise, read by an {found['solver']}; in percent, with 95 % "
        "intervals. It is a baseline and no bound: speech recognisers of today do better. The same digits "
        "without noise, and noise alone, are the controls; digits are counted after alignment, so chance is "
        "more than 10 %. A template listener that is told where the digits are hears "
        f"{100 * found['template_listener']:.0f} % of them; no person listened."
    )


def _words(part: Mapping[str, float]) -> str:
    return f"{100 * part['value']:.1f} ({100 * part['low']:.1f}-{100 * part['high']:.1f})"
