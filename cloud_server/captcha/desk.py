"""The CAPTCHA service itself: what both edges, gRPC and HTTP, talk to."""

from __future__ import annotations

import time
from collections.abc import Callable

from cloud_server.captcha.limiting import Limits
from cloud_server.captcha.settings import CaptchaSettings
from cloud_server.captcha.state.store import Store
from cloud_server.captcha.types import Speaker

__all__ = ["CaptchaDesk"]


class CaptchaDesk:
    """Implements `Captcha`.

    Args:
        store: the state; it is closed by who opened it.
        limits: of `open_limits`.
        settings: lives, difficulty, the server's key.
        speaker: None where no audio is offered.
        clock: seconds since 1970.
    """

    def __init__(
        self,
        store: Store,
        limits: Limits,
        settings: CaptchaSettings,
        speaker: Speaker | None = None,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._limits = limits
        self._settings = settings
        self._speaker = speaker
        self._clock = clock
