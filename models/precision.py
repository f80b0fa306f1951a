"""In how many bits a network computes: float32, or bfloat16 where the processor multiplies that natively."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn

from shared.errors import Code, GoodnoiseError

__all__ = ["PRECISIONS", "InBfloat16", "Precision", "at_precision", "check_precision", "in_precision"]

Precision: TypeAlias = Literal["float32", "bfloat16"]
PRECISIONS: tuple[Precision, ...] = ("float32", "bfloat16")


def check_precision(precision: Precision) -> None:
    """Ask whether this machine can compute so.

    Raises:
        GoodnoiseError: PRECONDITION for bfloat16 on a processor without it.
    """
    if precision == "bfloat16" and not _has_bfloat16():
        raise GoodnoiseError(
            Code.PRECONDITION,
            "precision: this processor has no bfloat16 convolutions (AVX-512 or later); use float32",
        )


@contextmanager
def at_precision(precision: Precision) -> Iterator[None]:
    """Inside, torch computes convolutions and products in that precision, the rest in float32.

    With bfloat16 a network returns bfloat16, which its caller brings back to float32 before a loss.
    """
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bfloat16"):
        yield


class InBfloat16(nn.Module):
    """A network that computes in bfloat16: for gradients, whose direction eight bits of mantissa still give.

    Args:
        network: images N C H W to logits N K, both float32 seen from outside; it is not changed.

    Raises:
        GoodnoiseError: see `check_precision`.
    """

    def __init__(self, network: nn.Module) -> None:
        check_precision("bfloat16")
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """Logits N K of images N C H W."""
        with at_precision("bfloat16"):
            logits: Tensor = self.network(images)
        return logits.float()


def in_precision(network: nn.Module, precision: Precision) -> nn.Module:
    """The network itself, or one of the same weights that computes in bfloat16.

    Raises:
        GoodnoiseError: see `check_precision`.
    """
    return network if precision == "float32" else InBfloat16(network)


def _has_bfloat16() -> bool:
    # Also without AMX, there without its speed. torch has no public question for it.
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
