"""Where a change may go."""

from __future__ import annotations

import numpy as np

from edge_client.looks import Looks, face_mask, weight_map
from shared.faces.frames import FRAMES

LANDMARKS = FRAMES["arcface112"].array() + np.array([40, 40])


def test_the_mask_is_one_on_the_face_and_zero_outside_with_no_edge_to_see() -> None:
    mask = face_mask((200, 200), LANDMARKS)
    for x, y in LANDMARKS:
        assert mask[round(y), round(x)] == 1.0
    assert mask[0].max() == mask[-1].max() == mask[:, 0].max() == mask[:, -1].max() == 0.0
    assert np.abs(np.diff(mask, axis=0)).max() < 0.2
    assert np.abs(np.diff(mask, axis=1)).max() < 0.2


def test_the_mask_follows_the_face() -> None:
    turned = face_mask((200, 200), LANDMARKS[:, ::-1] * [1, -1] + [0, 199])
    straight = face_mask((200, 200), LANDMARKS)
    assert np.abs(turned - np.rot90(straight)).mean() < 0.02


def test_smooth_skin_gets_less_than_texture(rng: np.random.Generator) -> None:
    canvas = np.full((1, 3, 200, 200), 0.6, np.float32)
    canvas[:, :, :, 96:] += rng.normal(0, 0.15, (1, 1, 200, 104)).astype(np.float32)
    weight = weight_map(canvas, LANDMARKS, Looks(smooth=0.3))[0, 0]
    assert weight.max() == 1.0
    assert weight[90:110, 60:85].mean() < 0.6 * weight[90:110, 108:130].mean()


def test_no_texture_at_all_is_no_fault() -> None:
    weight = weight_map(np.zeros((1, 3, 200, 200), np.float32), LANDMARKS, Looks())
    assert np.isfinite(weight).all()
    assert 0.0 <= weight.min() < weight.max() <= 1.0
