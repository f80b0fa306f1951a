"""The recordings of each language: made when they are first needed, and renewed in the background."""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cloud_server.captcha.audio.bank import Bank, cached_bank, kept_since, renewed_bank
from cloud_server.captcha.audio.engine import Engine
from cloud_server.logs import log

__all__ = ["Renewal", "Shelf", "fresh_rng"]


@dataclass(frozen=True, kw_only=True)
class Renewal:
    """When recordings give way to new ones. What somebody has collected of them is then worth less.

    Args:
        uses: sounds.
        seconds: of their age.
    """

    uses: int = 5000
    seconds: float = 24 * 3600.0


@dataclass
class _Place:
    bank: Future[Bank]
    since: float
    uses: int = 0
    renewing: bool = False


class Shelf:
    """Banks by language. Safe to use from many threads.

    Args:
        engine: what speaks.
        folder: that keeps recordings.
        renewal: when they are renewed.
        clock: seconds since 1970.
    """

    def __init__(
        self, engine: Engine, folder: Path, renewal: Renewal, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._engine = engine
        self._folder = folder
        self._renewal = renewal
        self._clock = clock
        self._places: dict[str, _Place] = {}
        self._lock = threading.RLock()  # a renewal that fails at once ends within `used`
        self._closed = False
        self._recorder = ThreadPoolExecutor(1, thread_name_prefix="speech")

    def bank(self, language: str) -> Future[Bank]:
        """A language's recordings, which are being made where there were none."""
        with self._lock:
            return self._place(language).bank

    def used(self, language: str) -> None:
        """Count a sound. When it is time new recordings are begun; the old ones serve until then."""
        with self._lock:
            place = self._place(language)
            place.uses += 1
            old = place.uses >= self._renewal.uses or self._clock() - place.since >= self._renewal.seconds
            if old and not (place.renewing or self._closed) and place.bank.done():
                place.renewing = True
                begun = self._recorder.submit(renewed_bank, language, self._engine, self._folder, fresh_rng())
                begun.add_done_callback(lambda done: self._renewed(language, done))

    def forget(self, language: str, failed: Future[Bank]) -> None:
        """What failed once, as a full disk does, is tried again at the next call."""
        with self._lock:
            if language in self._places and self._places[language].bank is failed:
                del self._places[language]

    def close(self) -> None:
        """Ends recording in the background."""
        with self._lock:
            self._closed = True
        self._recorder.shutdown(wait=True, cancel_futures=True)

    def _place(self, language: str) -> _Place:
        if language not in self._places:
            kept = kept_since(language, self._folder)
            bank = self._recorder.submit(cached_bank, language, self._engine, self._folder, fresh_rng())
            self._places[language] = _Place(bank, self._clock() if kept is None else kept)
        return self._places[language]

    def _renewed(self, language: str, done: Future[Bank]) -> None:
        if done.cancelled():
            return
        error = done.exception()
        if error is not None:  # the old ones serve on, and the next try is as far away as the last one was
            log("captcha.audio_not_renewed", level=logging.WARNING, error=error)
        with self._lock:
            bank = self._places[language].bank if error is not None else done
            self._places[language] = _Place(bank, self._clock())


def fresh_rng() -> np.random.Generator:
    """Randomness of the operating system."""
    return np.random.default_rng(secrets.randbits(256))
