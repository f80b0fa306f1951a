"""The torch oracle: loss and gradient of a recogniser by autograd, for the cloud and for reference."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from shared.attack.keys import Keys
from shared.attack.oracles import LossGradient

__all__ = ["TorchOracle", "frozen"]

# As in the gradient graphs: no effect on real embeddings, no NaN for zero vectors.
_EPSILON = 1e-12


def frozen(network: nn.Module, *, channels_last: bool = False) -> nn.Module:
    """The network in evaluation mode with gradients for its input only; changed in place.

    Args:
        network: any module.
        channels_last: lay out weights for channels-last images, which is faster on many processors.
    """
    network.eval().requires_grad_(requires_grad=False)
    return network.to(memory_format=torch.channels_last) if channels_last else network  # type: ignore[call-overload]


@dataclass(frozen=True)
class TorchOracle:
    """Loss sum over k of weights[n,k] times the cosine of embedding n and anchors[n,k]; attacks ascend it.

    A weight of -1 moves away from an anchor (dodging), +1 towards it (impersonation).

    Args:
        network: maps images N 3 S S to embeddings N D; see `frozen`.
        anchors: N K D, or 1 K D for all images; any length but zero.
        weights: N K, or 1 K for all images.
        channels_last: hand images over in that memory layout.
    """

    network: nn.Module
    anchors: Tensor
    weights: Tensor
    channels_last: bool = False

    def __call__(self, images: Tensor, keys: Keys, /) -> LossGradient:
        """Loss (N) and gradient (N C H W); `keys` are not used, nothing is random here."""
        layout = torch.channels_last if self.channels_last else torch.contiguous_format
        with torch.enable_grad():
            leaf = images.detach().to(memory_format=layout).requires_grad_()
            loss = self.loss(self.network(leaf))
            (gradient,) = torch.autograd.grad(loss.sum(), leaf)
        return LossGradient(loss.detach(), gradient.contiguous())

    def loss(self, embeddings: Tensor) -> Tensor:
        """The loss (N) of embeddings N D."""
        cosines = (_unit(embeddings)[:, None, :] * _unit(self.anchors)).sum(dim=-1)
        return (self.weights * cosines).sum(dim=-1)


def _unit(vectors: Tensor) -> Tensor:
    return vectors / torch.sqrt((vectors * vectors).sum(dim=-1, keepdim=True) + _EPSILON)
