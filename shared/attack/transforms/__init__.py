"""Transforms of the input, each with its adjoint, on NumPy or torch arrays N C H W."""

from shared.attack.transforms.base import Chain, Identity, Maybe, Params, Transform, pull_back

__all__ = ["Chain", "Identity", "Maybe", "Params", "Transform", "pull_back"]
