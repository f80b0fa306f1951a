"""Speaks digits for those who do not see the image: the implementation of `Speaker`."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from pathlib import Path

import numpy as np

from cloud_server.captcha.audio.bank import Bank, default_cache
from cloud_server.captcha.audio.engine import RATE, Engine, Utterance, find_engine
from cloud_server.captcha.audio.mix import Mixed, SoundStyle, mix
from cloud_server.captcha.audio.shelf import Renewal, Shelf, fresh_rng
from cloud_server.captcha.audio.wav import write_wav
from cloud_server.captcha.audio.words import DIGITS, LANGUAGES
from shared.errors import Code, GoodnoiseError
from shared.wire.status import RETRY_AFTER

__all__ = ["MOST", "DigitSpeaker", "open_speaker"]

# Digits of one sound: more than anyone keeps in mind.
MOST = 12


class DigitSpeaker:
    """Digits in speech and noise. Safe to call from many threads.

    A language's digits are recorded when it is first asked for, or by `prepare`, and kept in a cache folder;
    each sound is then mixed anew, from the operating system's randomness, so that no two are equal. After so
    many sounds, or so long, the digits are recorded anew in the background.

    Args:
        engine: what speaks.
        languages: what it speaks of `LANGUAGES`.
        cache: folder that keeps recordings.
        style: how sounds are mixed.
        patience: seconds that `speak` waits for recordings that are being made.
        renewal: when recordings are renewed.
        clock: seconds since 1970.
    """

    def __init__(
        self,
        engine: Engine,
        languages: Sequence[str],
        *,
        cache: Path,
        style: SoundStyle | None = None,
        patience: float = 10.0,
        renewal: Renewal | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._languages = tuple(languages)
        self._style = style or SoundStyle()
        self._patience = patience
        self._shelf = Shelf(engine, cache, renewal or Renewal(), clock=clock)

    @property
    def languages(self) -> Sequence[str]:
        """What it speaks, such as `en`."""
        return self._languages

    @property
    def style(self) -> SoundStyle:
        """How sounds are mixed."""
        return self._style

    def prepare(self, languages: Sequence[str] | None = None) -> None:
        """Begins to record these languages, or all, in the background."""
        for language in self._languages if languages is None else languages:
            self._bank(language)

    def speak(self, characters: str, *, language: str, rng: np.random.Generator | None = None) -> bytes:
        """The digits as WAV, 16 bits, mono, 16 kHz; another sound each time.

        Args:
            characters: digits, at most `MOST`.
            language: one of `languages`; `match_language` finds the nearest.
            rng: for tests; without it the operating system's randomness is used.

        Raises:
            ValueError: something else than digits, or too many.
            GoodnoiseError: INVALID_INPUT, a language that is not spoken; UNAVAILABLE, its digits are still
                being recorded (with `RETRY_AFTER`) or the engine broke.
        """
        return write_wav(self.mixed(characters, language=language, rng=rng).samples, rate=RATE)

    def mixed(self, characters: str, *, language: str, rng: np.random.Generator | None = None) -> Mixed:
        """As `speak`, before it becomes WAV and with what a listener is not told, for measurements."""
        if not 1 <= len(characters) <= MOST or set(characters) - set(DIGITS):
            raise ValueError(f"expected 1 to {MOST} digits to speak, got {len(characters)} characters")
        bank = self.bank(language)
        self._shelf.used(language)
        return mix(characters, bank, self._style, rng or fresh_rng())

    def bank(self, language: str) -> Bank:
        """A language's recordings; waits while they are made. Raises as `speak`."""
        future = self._bank(language)
        try:
            return future.result(self._patience)
        except FutureTimeoutError as error:
            message = f"digits of language {language!r} are being recorded; ask again soon"
            raise GoodnoiseError(Code.UNAVAILABLE, message, {RETRY_AFTER: "5.000"}) from error
        except BaseException:
            self._shelf.forget(language, future)
            raise

    def close(self) -> None:
        """Ends recording in the background."""
        self._shelf.close()

    def _bank(self, language: str) -> Future[Bank]:
        if language not in self._languages:
            spoken = ", ".join(self._languages)
            message = f"language {language!r} is not spoken; expected one of {spoken}"
            raise GoodnoiseError(Code.INVALID_INPUT, message)
        return self._shelf.bank(language)


def open_speaker(
    *,
    engine: Engine | None = None,
    cache: Path | None = None,
    style: SoundStyle | None = None,
    patience: float = 10.0,
) -> DigitSpeaker:
    """A speaker of all languages in which the engine makes a sound.

    Args:
        engine: None for what `find_engine` finds.
        cache: None for the user's cache folder.
        style: how sounds are mixed.
        patience: seconds that `speak` waits for recordings that are being made.

    Raises:
        GoodnoiseError: PRECONDITION, there is no engine, or it is mute: then a service offers no audio.
    """
    engine = engine or find_engine()
    tried = {name: Utterance(spoken.voices[0], spoken.words[5]) for name, spoken in LANGUAGES.items()}
    heard = engine.record(tuple(tried.values()))
    languages = [
        name for name, samples in zip(tried, heard, strict=True) if np.abs(samples).max(initial=0) > 0
    ]
    if not languages:
        message = "the speech engine is mute in every language; see whether its voices are installed"
        raise GoodnoiseError(Code.PRECONDITION, message)
    return DigitSpeaker(engine, languages, cache=cache or default_cache(), style=style, patience=patience)
