"""The tables' attacks on one aligned face, their control, and carrying a perturbation back into the photo."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from cloud_server.paper.nets import White
from shared.attack.attack import Attack, run
from shared.attack.budgets import Linf
from shared.attack.table import ATTACKS
from shared.faces.frames import Frame, similarity_to_frame

__all__ = ["CONTROL", "TABLE_ATTACKS", "Anchor", "Cloak", "attack_row", "lifted", "random_signs"]

Floats = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.uint8]
Anchor = Literal["own", "pair"]

TABLE_ATTACKS = ("fgsm", "i-fgsm", "mi-fgsm", "di2-fgsm", "m-di2-fgsm")
CONTROL = "random signs"
# With the photo itself as anchor the gradient is zero at the photo, where the cosine is at its highest: such
# attacks begin at uniform noise of this share of the budget (R+FGSM, arXiv 1705.07204).
_START = 0.25


@dataclass(frozen=True)
class Cloak:
    """How faces are attacked.

    Args:
        levels: budget, Linf, levels of 8 bits.
        anchor: what the attack moves away from: 'own', the photo itself, or 'pair', the enrolled photo.
        seed: of everything random.
    """

    levels: float
    anchor: Anchor
    seed: int

    def attacked(self, net: White, name: str, face: Floats, anchor: Floats, number: int) -> Floats:
        """The attacked face on the grid of 8 bits, 1 3 S S in [0,1].

        Args:
            net: whose gradients are followed.
            name: of a row of the table of attacks.
            face: float32 1 3 S S in the network's frame.
            anchor: the embedding to move away from, float32 D.
            number: the pair's; randomness depends on it and on the seed.
        """
        budget = Linf(self.levels)
        row = attack_row(name, self.anchor)
        result = run(row, net.away_from(anchor[None]), face, budget, seed=self.seed, ids=[number])
        return budget.quantise(result.images, face).astype(np.float32) / np.float32(255)


def attack_row(name: str, anchor: Anchor) -> Attack:
    """The table's row; with the photo itself as anchor it begins at a little noise."""
    row = ATTACKS[name]
    return replace(row, random_start=_START) if anchor == "own" else row


def random_signs(face: Floats, levels: float, *, seed: int, number: int) -> Floats:
    """The control: plus or minus the whole budget by chance, 1 3 S S on the grid of 8 bits."""
    signs = np.random.default_rng([seed, number, 1]).choice([-1.0, 1.0], face.shape)
    noisy = (face + signs * levels / 255).astype(np.float32)
    return Linf(levels).quantise(noisy, face).astype(np.float32) / np.float32(255)


def lifted(photo: Pixels, delta: Floats, five: npt.ArrayLike, frame: Frame) -> Pixels:
    """The photo with a perturbation of its aligned face, uint8 H W 3.

    Args:
        photo: uint8 H W 3.
        delta: 1 3 S S, in the units of [0,1].
        five: the face's landmarks, 5 2.
        frame: of the perturbation.
    """
    matrix = similarity_to_frame(five, frame)
    flat = np.ascontiguousarray(delta[0].transpose(1, 2, 0), np.float32) * np.float32(255)
    size = (photo.shape[1], photo.shape[0])
    change = cv2.warpAffine(flat, matrix, size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    return np.asarray(np.clip(np.rint(photo + change), 0, 255), np.uint8)
