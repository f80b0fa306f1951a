"""Keys of randomness: every draw depends on (seed, image id, step, stream) and on nothing else."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["Keys"]

_WORD = (1 << 64) - 1


@dataclass(frozen=True)
class Keys:
    """What the random draws of one call depend on, so that no result depends on the batch an image was in.

    Args:
        seed: of the whole run; any integer, taken modulo 2^64.
        ids: one integer an image, in the order of the batch, taken modulo 2^64.
        step: of the attack.
        stream: tells draws of one step apart (copies, parts of a chain); see `fork`.
    """

    seed: int
    ids: tuple[int, ...]
    step: int = 0
    stream: int = 0

    def rng(self, index: int) -> np.random.Generator:
        """The generator of image `index` of the batch; the same draws again on every call."""
        return self._generator(self.ids[index] & _WORD, word=0)

    def shared(self) -> np.random.Generator:
        """A generator that all images of a step share: for what must be equal within any batch."""
        return self._generator(0, word=1)

    def at(self, step: int) -> Keys:
        """The keys of another step."""
        return Keys(self.seed, self.ids, step, self.stream)

    def fork(self, stream: int) -> Keys:
        """Keys of an independent stream; forks of forks differ from one another."""
        return Keys(self.seed, self.ids, self.step, _mix(self.stream, stream))

    def pick(self, start: int, stop: int) -> Keys:
        """The keys of a slice of the batch."""
        return Keys(self.seed, self.ids[start:stop], self.step, self.stream)

    def _generator(self, image: int, *, word: int) -> np.random.Generator:
        # A counter-based generator takes the four numbers as they are, so distinct keys never share a
        # sequence. Word 0 of the counter is the one that drawing increments; word 1 sets shared draws apart.
        key = np.array([self.seed & _WORD, image], dtype=np.uint64)
        counter = np.array([0, word, self.step & _WORD, self.stream & _WORD], dtype=np.uint64)
        return np.random.Generator(np.random.Philox(key=key, counter=counter))


def _mix(stream: int, child: int) -> int:
    # The finaliser of SplitMix64 (Steele et al., OOPSLA 2014) over both numbers.
    value = (stream * 0x9E3779B97F4A7C15 + child + 1) & _WORD
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _WORD
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _WORD
    return value ^ (value >> 31)
