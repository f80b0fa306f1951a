"""Hardened readers as witnesses of legibility: what they agree on, people see too.

A network that learnt from attacked images relies on what is left to see, so when several of them are sure of
the same wrong character, it has probably turned into that one to the eye as well. Against the errors of one
blind reading (216 characters of an earlier recipe; the reader was a vision-language model) the area under the
ROC curve was 0.74 for four readers of this kind, and 0.63 for the template observer's margin.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from cloud_server.captcha.challenges.gate import Levels
from cloud_server.captcha.challenges.types import ALPHABET, Rendered
from models.text.readers import encode
from shared.attack.transforms.matrices import gaussian

__all__ = ["WITNESSES", "HardenedReaders"]

# Those of the attention kind say one distribution a place.
WITNESSES = ("attention-h1", "attention-h2", "attention-h4")
# Pixels.
_SIGMA = 1.0


class HardenedReaders:
    """How sure readers are, on average, of a character that is not there.

    Args:
        networks: readers with slots, images N 1 H W to log-probabilities N K C; as `WITNESSES`.
    """

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        self._networks = tuple(networks)

    def __call__(
        self, images: Sequence[Levels], rendered: Sequence[Rendered]
    ) -> list[npt.NDArray[np.float64]]:
        """For each image the mean share of the likeliest wrong character in each place, K in [0,1].

        Asked with and without a blur of one pixel, since people do not see single pixels.
        """
        batch = torch.from_numpy(np.stack(images)[:, None].astype(np.float32) / 255)
        labels = encode([item.text for item in rendered], ALPHABET)
        shares = self._shares(batch, labels)
        return [
            np.asarray(row[: len(item.text)], np.float64) for row, item in zip(shares, rendered, strict=True)
        ]

    def _shares(self, batch: Tensor, labels: Tensor) -> npt.NDArray[np.float32]:
        with torch.no_grad():
            asked = [network(view).slots.exp() for network in self._networks for view in _views(batch)]
        mean = torch.stack(asked).mean(dim=0)[:, : labels.shape[1]]
        # Neither the character itself nor the end counts as another one.
        wrong = mean.scatter(2, labels[..., None], 0.0)
        wrong[..., 0] = 0.0
        return np.asarray(wrong.amax(dim=2).numpy())


def _views(batch: Tensor) -> tuple[Tensor, Tensor]:
    rows, columns = (_blur(length) for length in batch.shape[2:])
    return batch, rows @ batch @ columns.T


@functools.lru_cache(maxsize=4)
def _blur(length: int) -> Tensor:
    return torch.from_numpy(gaussian(length, sigma=_SIGMA)).float()
