"""Has sounds made beside the event loop, a few at a time."""

from __future__ import annotations

import asyncio

from cloud_server.captcha.audio.words import match_language
from cloud_server.captcha.rules import unavailable
from cloud_server.captcha.types import Media, Speaker

__all__ = ["Speaking"]

_AT_ONCE = 2
_WAITING = 16


class Speaking:
    """A speaker behind a short queue: a sound costs as much as hundreds of images.

    Args:
        speaker: what speaks.
    """

    def __init__(self, speaker: Speaker) -> None:
        self._speaker = speaker
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._asked = 0

    def language(self, wanted: str) -> str:
        """The spoken language nearest to the wanted one."""
        return match_language(wanted, self._speaker.languages)

    async def say(self, digits: str, language: str) -> Media:
        """Digits as WAV.

        Raises:
            GoodnoiseError: UNAVAILABLE with `RETRY_AFTER`, too many wait.
        """
        if self._asked >= _AT_ONCE + _WAITING:
            raise unavailable("too many sounds are being made; ask again soon", 2.0)
        self._asked += 1
        try:
            async with self._turns:
                content = await asyncio.to_thread(
                    self._speaker.speak, digits, language=self.language(language)
                )
        finally:
            self._asked -= 1
        return Media(content, "audio/wav")
