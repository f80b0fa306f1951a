"""Networks in bfloat16 where the processor multiplies matrices of it (AMX): half the time of a gradient."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from models.precision import at_precision
from models.text.networks import TextOutput

__all__ = ["Quick", "has_matrices", "quick"]


class Quick(nn.Module):
    """A network that computes in bfloat16 and answers in float32, gradients included.

    Args:
        network: a reader, or any that gives one tensor; it is not changed.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, *inputs: Tensor) -> Tensor | TextOutput:
        """As the network."""
        with at_precision("bfloat16"):
            output = self.network(*inputs)
        if isinstance(output, Tensor):
            return output.float()
        parts = cast("TextOutput", output)
        return TextOutput(*(part if part is None else part.float() for part in parts))


def quick(network: nn.Module) -> nn.Module:
    """The network in bfloat16, or as it is where that would not be quicker."""
    return Quick(network) if has_matrices() else network


def has_matrices() -> bool:
    """Whether the processor has instructions for products of bfloat16 matrices."""
    # Releases before 2.10 cannot tell.
    ask = getattr(torch.cpu, "get_capabilities", None)
    return bool(ask is not None and ask().get("amx_bf16", False))
