"""Digits in noise: drawn anew for each request, in a few milliseconds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cloud_server.captcha.audio.bank import Bank
from cloud_server.captcha.audio.engine import RATE, Samples

__all__ = ["Mixed", "SoundStyle", "mix"]

_Range = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class SoundStyle:
    """How a sound is mixed; pairs are ranges that are drawn from.

    Args:
        snr: power of the digits, while they are spoken, over that of all noise, dB.
        babble: share of babble in the noise's power; the rest is coloured noise.
        colour: fall of the coloured noise's power, dB an octave.
        gap: seconds between two digits.
        ends: seconds before the first digit and after the last.
        stretch: how much longer, and by as much lower, a digit becomes.
        decoy_stretch: the same for babble.
        level: of one digit against the others, dB.
        crowd: babbling voices at a time.
    """

    snr: float = 8.0
    babble: _Range = (0.5, 0.8)
    colour: _Range = (2.5, 6.0)
    gap: _Range = (0.35, 0.8)
    ends: _Range = (0.5, 1.1)
    stretch: _Range = (0.93, 1.1)
    decoy_stretch: _Range = (0.75, 1.35)
    level: _Range = (-1.5, 1.5)
    crowd: float = 3.0


@dataclass(frozen=True)
class Mixed:
    """A sound and what is known of it here alone.

    Args:
        samples: in [-1,1], at `RATE`.
        spans: where each digit begins and ends, samples.
        snr: as it came out, dB.
    """

    samples: Samples
    spans: tuple[tuple[int, int], ...]
    snr: float


def mix(characters: str, bank: Bank, style: SoundStyle, rng: np.random.Generator) -> Mixed:
    """Speaks digits in noise: variants, gaps, pitch, loudness, babble and noise are all drawn from `rng`."""
    digits = [_stretched(bank.draw(digit, rng), style.stretch, rng) for digit in characters]
    digits = [clip * _gain(rng.uniform(*style.level)) for clip in digits]
    speech, spans = _row(digits, style, rng)
    spoken = np.concatenate([speech[begin:end] for begin, end in spans])
    power = float(np.mean(spoken**2))
    noise = _noise(len(speech), bank, style, rng)
    noise *= np.float32(np.sqrt(power / np.mean(noise**2)) * _gain(-style.snr))
    snr = 10 * float(np.log10(power / np.mean(noise**2)))
    both = speech + noise
    loudest = rng.uniform(0.6, 0.95)
    return Mixed((both * (loudest / np.abs(both).max())).astype(np.float32), spans, snr)


def _row(
    digits: list[Samples], style: SoundStyle, rng: np.random.Generator
) -> tuple[Samples, tuple[tuple[int, int], ...]]:
    pauses = rng.uniform(*style.gap, size=len(digits))
    pauses[0] = rng.uniform(*style.ends)
    begins, at = [], 0
    for clip, pause in zip(digits, pauses, strict=True):
        begins.append(at + int(pause * RATE))
        at = begins[-1] + len(clip)
    speech = np.zeros(_even(at + int(rng.uniform(*style.ends) * RATE)), np.float32)
    spans = tuple((begin, begin + len(clip)) for begin, clip in zip(begins, digits, strict=True))
    for (begin, end), clip in zip(spans, digits, strict=True):
        speech[begin:end] += clip
    return speech, spans


def _noise(length: int, bank: Bank, style: SoundStyle, rng: np.random.Generator) -> Samples:
    share = rng.uniform(*style.babble)
    babble, coloured = _babble(length, bank, style, rng), _coloured(length, rng.uniform(*style.colour), rng)
    both = np.sqrt(share) * _level(babble) + np.sqrt(1 - share) * _level(coloured)
    return np.asarray(both, np.float32)


def _babble(length: int, bank: Bank, style: SoundStyle, rng: np.random.Generator) -> Samples:
    """Digits of the same voices, backwards and over each other: like speech, and no word."""
    babble = np.zeros(length, np.float32)
    spoken = 0
    while spoken < style.crowd * length:
        clip = _stretched(bank.any(rng)[::-1], style.decoy_stretch, rng)[:length]
        begin = int(rng.integers(length - len(clip) + 1))
        babble[begin : begin + len(clip)] += clip * np.float32(_gain(rng.uniform(-4, 4)))
        spoken += len(clip)
    return babble


def _coloured(length: int, fall: float, rng: np.random.Generator) -> Samples:
    spectrum = np.fft.rfft(rng.standard_normal(length, dtype=np.float32))
    steps = np.maximum(np.arange(len(spectrum), dtype=np.float32), 100 * length / RATE)  # level below 100 Hz
    spectrum *= steps ** np.float32(-fall / (20 * np.log10(2)))
    return np.asarray(np.fft.irfft(spectrum, length), np.float32)


def _stretched(clip: Samples, bounds: _Range, rng: np.random.Generator) -> Samples:
    """Longer and lower, or shorter and higher, as a tape that runs slower or faster."""
    length = round(len(clip) * rng.uniform(*bounds))
    places = np.linspace(0, len(clip) - 1, length)
    return np.asarray(np.interp(places, np.arange(len(clip)), clip), np.float32)


def _level(sound: Samples) -> npt.NDArray[np.float32]:
    power = np.mean(sound**2)
    return np.asarray(sound / np.sqrt(power), np.float32) if power > 0 else sound


def _gain(decibels: float) -> float:
    return float(10 ** (decibels / 20))


def _even(length: int) -> int:
    # Lengths with small factors alone make the transform fast.
    return -(-length // 2000) * 2000
