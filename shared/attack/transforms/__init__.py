"""Transforms of the input, each with its adjoint, on NumPy or torch arrays N C H W."""

from shared.attack.transforms.base import Chain, Identity, Maybe, OneOf, Params, Transform, pull_back
from shared.attack.transforms.filters import Binarise, MedianFilter
from shared.attack.transforms.jpeg import Jpeg
from shared.attack.transforms.pixelwise import Mirror, Noise
from shared.attack.transforms.separable import Blur, MeanFilter, Pad, Resize
from shared.attack.transforms.shuffle import BlockShuffle
from shared.attack.transforms.tone import ToneCurve, Unshade
from shared.attack.transforms.warp import Affine, Jitter, Warp

__all__ = [
    "Affine",
    "Binarise",
    "BlockShuffle",
    "Blur",
    "Chain",
    "Identity",
    "Jitter",
    "Jpeg",
    "Maybe",
    "MeanFilter",
    "MedianFilter",
    "Mirror",
    "Noise",
    "OneOf",
    "Pad",
    "Params",
    "Resize",
    "ToneCurve",
    "Transform",
    "Unshade",
    "Warp",
    "pull_back",
]
