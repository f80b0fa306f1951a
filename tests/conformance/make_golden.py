"""Makes golden/input_diversity.npz: what each published reading of DI does for a fixed geometry.

Run it with `python tests/conformance/make_golden.py`. It takes torch's own operators for the arithmetic, in
the order of the three published codes, and shares nothing with `shared.attack`. torch's 'nearest' picks
floor(j * in / out), as TensorFlow 1 did in the authors' code. The official code's images lie in [-1,1] and it
pads with 0.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F  # noqa: N812 - torch's own habit

SIDE = 32
# Convention, padded side, (size, top, left).
CASES = (
    ("official", 35, (33, 1, 0)),
    ("official", 35, (34, 0, 0)),
    ("official", 35, (32, 0, 2)),
    ("transferattack", 35, (33, 1, 0)),
    ("transferattack", 35, (32, 2, 1)),
    ("torchattacks", 32, (29, 2, 0)),
    ("torchattacks", 32, (31, 0, 0)),
)


def diverse(images: torch.Tensor, convention: str, full: int, geometry: tuple[int, int, int]) -> torch.Tensor:
    """Images of N C S S in [0,1] after resizing and padding."""
    size, top, left = geometry
    pads = [left, full - size - left, top, full - size - top]
    if convention == "official":
        signed = 2 * images - 1
        return (F.pad(F.interpolate(signed, size=[size, size], mode="nearest"), pads, value=0) + 1) / 2
    padded = F.pad(
        F.interpolate(images, size=[size, size], mode="bilinear", align_corners=False), pads, value=0
    )
    if convention == "torchattacks":
        return padded
    return F.interpolate(padded, size=[SIDE, SIDE], mode="bilinear", align_corners=False)


def main() -> None:
    """Writes the arrays beside this script."""
    generator = torch.Generator().manual_seed(1803)
    images = torch.rand(1, 1, SIDE, SIDE, generator=generator)
    arrays = {"images": images.numpy()}
    for number, (convention, full, geometry) in enumerate(CASES):
        x = images.clone().requires_grad_()
        changed = diverse(x, convention, full, geometry)
        cotangent = torch.rand(changed.shape, generator=generator)
        (gradient,) = torch.autograd.grad(changed, x, cotangent)
        name = f"{number} {convention} {' '.join(map(str, geometry))}"
        arrays[f"{name}/changed"] = changed.detach().numpy()
        arrays[f"{name}/cotangent"] = cotangent.numpy()
        arrays[f"{name}/gradient"] = gradient.numpy()
    folder = Path(__file__).parent / "golden"
    folder.mkdir(exist_ok=True)
    np.savez_compressed(
        folder / "input_diversity.npz", **{k: v.astype(np.float32) for k, v in arrays.items()}
    )


if __name__ == "__main__":
    main()
