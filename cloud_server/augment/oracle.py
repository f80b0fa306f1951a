"""What attacks ascend: the surrogate's evidence for a target, less another network's for the origin."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from cloud_server.augment.recipes import Loss
from shared.attack.keys import Keys
from shared.attack.oracles import LossGradient

__all__ = ["TargetOracle", "evidence"]


@dataclass(frozen=True, eq=False)
class TargetOracle:
    """evidence(network, targets) - suppress * logit(second, origins), image by image.

    With cross-entropy it is M2m's objective (arXiv 2004.00431, equation 2) with its sign changed.

    Args:
        network: N C H W to logits N K, in evaluation mode.
        targets: N, outputs to move to.
        loss: see `recipe.Loss`.
        origins: N, outputs whose logit is held down; needed with `suppress`.
        suppress: how much that counts.
        second: whose logit that is; None is `network` itself.
    """

    network: nn.Module
    targets: Tensor
    loss: Loss = "cross-entropy"
    origins: Tensor | None = None
    suppress: float = 0.0
    second: nn.Module | None = None

    def __call__(self, images: Tensor, keys: Keys, /) -> LossGradient:
        """Loss (N) and gradient (N C H W); `keys` are not used, nothing is random here."""
        with torch.enable_grad():
            leaf = images.detach().requires_grad_()
            loss = self._loss(leaf)
            (gradient,) = torch.autograd.grad(loss.sum(), leaf)
        # Networks in channels-last layout hand such gradients back, and mixed layouts make every step slower.
        return LossGradient(loss.detach(), gradient.contiguous())

    def _loss(self, images: Tensor) -> Tensor:
        logits = self.network(images)
        loss = evidence(logits, self.targets, self.loss)
        if not self.suppress or self.origins is None:
            return loss
        others = logits if self.second is None else self.second(images)
        return loss - self.suppress * _picked(others, self.origins)


def evidence(logits: Tensor, targets: Tensor, loss: Loss) -> Tensor:
    """What logits N K say for targets N: N, more is more."""
    if loss == "cross-entropy":
        return -functional.cross_entropy(logits, targets, reduction="none")
    wanted = _picked(logits, targets)
    if loss == "logit":
        return wanted
    others = logits.scatter(1, targets[:, None], -torch.inf)
    return wanted - others.amax(dim=1)


def _picked(logits: Tensor, classes: Tensor) -> Tensor:
    return logits.gather(1, classes[:, None]).squeeze(1)
