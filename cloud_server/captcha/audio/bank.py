"""Recordings of every digit in many voices, made once and kept in the user's cache folder."""

from __future__ import annotations

import io
import logging
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import platformdirs

from cloud_server.captcha.audio.engine import RATE, Engine, Samples, Utterance
from cloud_server.captcha.audio.words import DIGITS, LANGUAGES
from cloud_server.logs import log
from shared.errors import Code, GoodnoiseError
from shared.files import write_atomically

__all__ = ["VARIANTS", "Bank", "cached_bank", "default_cache", "kept_since", "record_bank", "renewed_bank"]

_Counts: TypeAlias = npt.NDArray[np.int64]

VARIANTS = 20  # of each digit
# The engine's timbres that stay clear when they are sped up; the whispering and robotic ones do not.
_TIMBRES = ("m1", "m2", "m3", "m4", "m5", "m7", "f1", "f2", "f3", "f4", "f5")
_SPEEDS = (115, 160)  # words a minute
_PITCHES = (25, 75)
_FORMAT = 1  # raise it when recordings change, so that old ones are made anew
_LOUDNESS = 0.1  # root mean square of a recording
_QUIET = 0.02  # of the peak; ends below it are cut away
_SHORTEST = RATE // 12


@dataclass(frozen=True)
class Bank:
    """One language's recordings.

    Args:
        language: such as `en`.
        clips: for each of the digits 0 to 9 its variants, samples at `RATE`, all equally loud.
    """

    language: str
    clips: tuple[tuple[Samples, ...], ...]

    def draw(self, digit: str, rng: np.random.Generator) -> Samples:
        """Any variant of a digit."""
        variants = self.clips[DIGITS.index(digit)]
        return variants[int(rng.integers(len(variants)))]

    def any(self, rng: np.random.Generator) -> Samples:
        """Any variant of any digit."""
        return self.draw(DIGITS[int(rng.integers(len(DIGITS)))], rng)


def default_cache() -> Path:
    """The user's cache folder of the project, for audio."""
    return Path(platformdirs.user_cache_dir("goodnoise")) / "audio"


def record_bank(language: str, engine: Engine, rng: np.random.Generator, *, variants: int = VARIANTS) -> Bank:
    """Records all digits: voices, speeds and pitches at random, so that no two services have the same.

    Raises:
        GoodnoiseError: UNAVAILABLE when the engine breaks, or is mute in this language.
    """
    utterances = [utterance for digit in DIGITS for utterance in _utterances(language, digit, rng, variants)]
    recorded = [_trimmed(samples) for samples in engine.record(utterances)]
    clips = tuple(
        tuple(clip for clip in recorded[variants * digit : variants * (digit + 1)] if len(clip) >= _SHORTEST)
        for digit in range(len(DIGITS))
    )
    if not all(clips):
        message = f"the speech engine is mute in language {language!r}; offer another"
        raise GoodnoiseError(Code.UNAVAILABLE, message)
    return Bank(language, clips)


def cached_bank(language: str, engine: Engine, folder: Path, rng: np.random.Generator) -> Bank:
    """The bank kept in `folder`, or a new one that is kept there.

    Raises:
        GoodnoiseError: as `record_bank`.
    """
    kept = _load(_path(folder, language), language)
    return renewed_bank(language, engine, folder, rng) if kept is None else kept


def kept_since(language: str, folder: Path) -> float | None:
    """When the bank in `folder` was recorded, seconds since 1970; None where there is none."""
    try:
        return _path(folder, language).stat().st_mtime
    except OSError:
        return None


def renewed_bank(language: str, engine: Engine, folder: Path, rng: np.random.Generator) -> Bank:
    """A new bank, kept in `folder` in place of the one of before.

    Raises:
        GoodnoiseError: as `record_bank`.
    """
    bank = record_bank(language, engine, rng)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(_path(folder, language), _saved(bank))
    except OSError as error:  # a read-only container speaks as well; it only records anew at each start
        log("captcha.audio_not_cached", level=logging.WARNING, error=error)
    return bank


def _path(folder: Path, language: str) -> Path:
    return folder / f"digits-{language}-{_FORMAT}.npz"


def _utterances(language: str, digit: str, rng: np.random.Generator, count: int) -> list[Utterance]:
    spoken = LANGUAGES[language]
    word = spoken.words[DIGITS.index(digit)]
    # Every timbre comes about equally often for every digit, so that none tells the digit.
    timbres = [_TIMBRES[i % len(_TIMBRES)] for i in rng.permutation(count)]
    return [
        Utterance(
            voice=f"{spoken.voices[int(rng.integers(len(spoken.voices)))]}+{timbre}",
            word=word,
            speed=int(rng.integers(*_SPEEDS)),
            pitch=int(rng.integers(*_PITCHES)),
        )
        for timbre in timbres
    ]


def _trimmed(samples: Samples) -> Samples:
    loud = np.flatnonzero(np.abs(samples) > _QUIET * np.abs(samples).max(initial=0.0))
    if not len(loud):
        return np.zeros(0, np.float32)
    kept = samples[loud[0] : loud[-1] + 1]
    loudness = np.sqrt(np.mean(kept**2))
    return np.asarray(kept * (_LOUDNESS / loudness), np.float32)


def _saved(bank: Bank) -> bytes:
    flat = [clip for variants in bank.clips for clip in variants]
    file = io.BytesIO()
    np.savez(
        file,
        samples=np.concatenate(flat).astype(np.float16),
        lengths=np.array([len(clip) for clip in flat], np.int64),
        variants=np.array([len(variants) for variants in bank.clips], np.int64),
    )
    return file.getvalue()


def _load(path: Path, language: str) -> Bank | None:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as kept:
            samples, lengths, variants = (kept[name] for name in ("samples", "lengths", "variants"))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None  # absent or damaged: recorded anew
    return _bank_of(language, samples, lengths, variants)


def _bank_of(
    language: str, samples: npt.NDArray[np.float16], lengths: _Counts, variants: _Counts
) -> Bank | None:
    fits = lengths.sum() == len(samples) and variants.sum() == len(lengths) and len(variants) == len(DIGITS)
    if not fits or variants.min() < 1:
        return None
    flat = np.split(samples.astype(np.float32), np.cumsum(lengths)[:-1])
    ends = np.cumsum(variants)
    clips = (tuple(flat[end - count : end]) for end, count in zip(ends, variants, strict=True))
    return Bank(language, tuple(clips))
