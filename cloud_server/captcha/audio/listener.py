"""A stand-in for ears: how clear digits are, by rule. No person was asked, and no figure here says so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cloud_server.captcha.audio.bank import Bank
from cloud_server.captcha.audio.engine import RATE, Samples
from cloud_server.captcha.audio.mix import Mixed
from cloud_server.captcha.audio.words import DIGITS

__all__ = ["BANDS", "HOP", "TemplateListener", "loudness"]

Features = npt.NDArray[np.float32]

HOP = 160  # samples, 10 ms
BANDS = 40
_WINDOW = 512
_FRAMES = 32  # of a template, whatever its length
_VOTES = 3
_HIGHEST = 7000.0  # Hz


def loudness(samples: Samples) -> Features:
    """Loudness in mel bands (power to 0.3, Stevens), float32 T `BANDS`, a frame every `HOP` samples."""
    padded = np.pad(samples, (_WINDOW // 2, _WINDOW // 2))
    frames = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::HOP]
    power = np.abs(np.fft.rfft(frames * np.hanning(_WINDOW).astype(np.float32), axis=1)) ** 2
    # Not the logarithm: it makes much of the quiet places between harmonics, which noise fills.
    return np.asarray((power @ _mel_filters()) ** 0.3, np.float32)


@dataclass(frozen=True)
class TemplateListener:
    """Tells a digit by the clean recordings whose spectrogram is most like it, at a place that it is told.

    Args:
        templates: unit rows, one a recording.
        digits: index of the digit of each.
    """

    templates: Features
    digits: npt.NDArray[np.int64]

    @classmethod
    def of(cls, bank: Bank) -> TemplateListener:
        """One that has heard every recording of a bank in silence."""
        clips = [(digit, clip) for digit, variants in enumerate(bank.clips) for clip in variants]
        rows = [_template(loudness(clip)) for _, clip in clips]
        return cls(np.stack(rows), np.array([digit for digit, _ in clips]))

    def hear(self, mixed: Mixed) -> str:
        """What it takes the digits for."""
        features = loudness(mixed.samples)
        return "".join(self._digit(features[begin // HOP : end // HOP + 1]) for begin, end in mixed.spans)

    def _digit(self, features: Features) -> str:
        likeness = self.templates @ _template(features)
        votes = [np.sort(likeness[self.digits == digit])[-_VOTES:].mean() for digit in range(len(DIGITS))]
        return DIGITS[int(np.argmax(votes))]

    def share_heard(self, sounds: Sequence[tuple[str, Mixed]]) -> float:
        """The share of digits that it hears right."""
        pairs = [pair for text, mixed in sounds for pair in zip(text, self.hear(mixed), strict=True)]
        return float(np.mean([spoken == heard for spoken, heard in pairs]))


def _template(features: Features) -> Features:
    """One digit's features at a fixed length, as a unit row; bands' own levels do not count."""
    places = np.linspace(0, len(features) - 1, _FRAMES)
    low = places.astype(np.int64)
    high = np.minimum(low + 1, len(features) - 1)
    share = (places - low)[:, None]
    fixed = features[low] * (1 - share) + features[high] * share
    centred = fixed - fixed.mean()
    return np.asarray(centred.ravel() / (np.linalg.norm(centred) + 1e-9), np.float32)


def _mel_filters() -> Features:
    """Triangles, evenly spaced in mel (O'Shaughnessy's 2595 log10(1 + f / 700)); F `BANDS`."""
    mels = np.linspace(0, 2595 * np.log10(1 + _HIGHEST / 700), BANDS + 2)
    edges = 700 * (10 ** (mels / 2595) - 1)
    bins = np.fft.rfftfreq(_WINDOW, 1 / RATE)[:, None]
    rise = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    fall = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    return np.asarray(np.maximum(0, np.minimum(rise, fall)), np.float32)
