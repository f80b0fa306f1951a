"""A recogniser of the ensemble on torch; imported only when the backend 'torch' was chosen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from models.torch_graph import TorchGraph
from models.torch_oracle import TorchOracle, frozen
from shared.attack.keys import Keys
from shared.attack.oracles import LossGradient, Oracle
from shared.bundle import sha256_hex

__all__ = ["TorchNet"]

Floats = npt.NDArray[np.float32]


class TorchNet:
    """See `cloud_server.hints.nets.Net`.

    Args:
        name: the card's name.
        content: the zoo's forward graph.
    """

    def __init__(self, name: str, content: bytes) -> None:
        self.name = name
        self.sha256 = sha256_hex(content)
        self._network: nn.Module = frozen(TorchGraph(content))

    def embed(self, images: Floats) -> Floats:
        """Embeddings, float32 N D, of faces, float32 N 3 S S in [0,1]."""
        with torch.no_grad():
            return np.asarray(self._network(torch.from_numpy(images)).numpy(), np.float32)

    def away_from(self, anchors: Floats) -> Oracle:
        """The oracle whose loss is minus the cosine to each image's own anchor, float32 N D."""
        weights = torch.full((len(anchors), 1), -1.0)
        return _OnNumpy(TorchOracle(self._network, torch.from_numpy(anchors)[:, None, :], weights))


@dataclass(frozen=True)
class _OnNumpy:
    oracle: TorchOracle

    def __call__(self, images: Floats, keys: Keys, /) -> LossGradient:
        loss, gradient = self.oracle(torch.from_numpy(np.array(images, np.float32)), keys)
        return LossGradient(loss.numpy(), gradient.numpy())
