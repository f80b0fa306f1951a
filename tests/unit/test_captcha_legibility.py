"""Proxies of legibility: what fades or turns into another character is seen."""

from __future__ import annotations

import numpy as np
import pytest

from cloud_server.captcha.challenges.legibility import (
    bank_of,
    stroke_contrast,
    stroke_contrasts,
    stroke_width,
    template_right,
    template_scores,
)
from cloud_server.captcha.challenges.render import render
from cloud_server.captcha.challenges.types import ALPHABET, Rendered


def test_contrast_is_the_step_over_the_deviation_in_the_ink():
    ink = np.zeros((20, 20), np.float32)
    ink[5:15, 5:15] = 1
    image = np.full((20, 20), 200, np.uint8)
    image[5:15, 5:10], image[5:15, 10:15] = 90, 110
    assert stroke_contrast(image, ink) == pytest.approx((200 - 100) / 10)
    assert stroke_contrast((image / 255).astype(np.float32), ink) == pytest.approx(10, rel=1e-4)
    assert stroke_contrasts(image, ink[None]) == pytest.approx([10])


def test_contrast_refuses_an_image_without_ink():
    with pytest.raises(ValueError, match="strokes on a ground"):
        stroke_contrast(np.zeros((4, 4), np.uint8), np.zeros((4, 4), np.float32))


def test_one_faint_character_shows_beside_its_neighbours(rng):
    made = render("KMN", rng=rng)
    grain = rng.normal(0, 0.03, made.image.shape).astype(np.float32)
    faded = made.image + 0.6 * made.letters[1] * (0.8 - made.image) + grain
    before, after = (stroke_contrasts(image, made.letters) for image in (made.image + grain, faded))
    assert after[1] < 0.7 * before[1]
    assert after[[0, 2]] == pytest.approx(before[[0, 2]], rel=0.1)


def test_stroke_width_of_a_bar():
    ink = np.zeros((64, 64), np.float32)
    ink[:, 20:28] = 1
    assert stroke_width(ink) == pytest.approx(8, abs=0.6)
    assert stroke_width(np.zeros((8, 8), np.float32)) == 0


def test_template_observer_names_nearly_all_clean_characters(rng):
    right = []
    for _ in range(12):
        made = render("".join(rng.choice(list(ALPHABET), 6)), rng=rng)
        scores = template_scores(made.image, made)
        assert scores.shape == (6, len(ALPHABET))
        assert np.abs(scores).max() <= 1.001
        right.append(template_right((255 * made.image).round().astype(np.uint8), made))
    assert np.concatenate(right).mean() > 0.95


def test_template_observer_follows_what_is_drawn_and_not_what_is_said(rng):
    made = render("ACDE", rng=rng)
    lie = Rendered("FHJK", made.image, made.ink, made.letters, made.font)
    assert not template_right(lie.image, lie).any()


def test_strong_noise_blinds_the_template_observer(rng):
    made = render("ACDEFH", rng=rng)
    noise = rng.uniform(0, 1, made.image.shape).astype(np.float32)
    assert template_right(noise, made).mean() < 0.7


def test_unknown_font_is_named():
    with pytest.raises(ValueError, match="'Comic'"):
        bank_of("Comic")
