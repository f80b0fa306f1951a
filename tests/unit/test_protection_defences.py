"""Purifiers and adapted recognisers on cloaks that are made up, so that the right answer is known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cloud_server.evaluation.protection.cloaks import Cloaked, window
from cloud_server.hints.nets import Net, load_net
from models.store import Store, load_card
from shared.attack.attack import run
from shared.attack.budgets import Linf
from shared.attack.table import ATTACKS
from shared.faces.detect import Face

pytestmark = [pytest.mark.zoo, pytest.mark.torch]

FACE = Face((60.0, 50.0, 90.0, 110.0), ((85, 90), (125, 90), (105, 115), (90, 135), (120, 135)), 1.0)


@pytest.fixture(scope="module")
def picture(photos: Path) -> np.ndarray:
    return np.asarray(Image.open(photos / "astronaut.png").convert("RGB").resize((220, 220)))


@pytest.fixture(scope="module")
def cloaks(picture: np.ndarray) -> list[Cloaked]:
    """Six 'people', two photos each: parts of a picture, under a checkerboard of single pixels."""
    rng = np.random.default_rng(7)
    pattern = 10 * (1 - 2 * (np.indices((112, 112)).sum(axis=0) % 2))[:, :, None]
    found = []
    for number in range(12):
        x, y = rng.integers(0, 108, 2)
        before = np.ascontiguousarray(np.roll(picture[y : y + 112, x : x + 112], number // 2, axis=2))
        after = np.clip(before.astype(int) + pattern, 0, 255).astype(np.uint8)
        clean, cloaked = (p.transpose(2, 0, 1).astype(np.float32) / 255 for p in (before, after))
        found.append(Cloaked(f"person {number // 2}", clean, (cloaked,), before, after))
    return found


def attacked_like(cloaks: list[Cloaked], net: Net) -> list[Cloaked]:
    """The same people under a cloak that the network does not see through."""
    clean = np.stack([cloak.clean for cloak in cloaks])
    start = np.random.default_rng(0).uniform(-0.004, 0.004, clean.shape).astype(np.float32)
    attack = replace(ATTACKS["i-fgsm"], steps=4)
    made = run(attack, net.away_from(net.embed(clean)), clean, Linf(8), start=start).images
    return [replace(cloak, cloaked=(image,)) for cloak, image in zip(cloaks, made, strict=True)]


@pytest.mark.parametrize("name", ["blur", "JPEG 50", "resize x0.5"])
def test_plain_purifiers_take_noise_away_and_keep_the_picture(name: str, picture: np.ndarray) -> None:
    from cloud_server.evaluation.protection.purify import plain_purifiers

    rng = np.random.default_rng(3)
    noisy = np.clip(picture.astype(int) + rng.choice([-16, 16], picture.shape), 0, 255).astype(np.uint8)
    cleaned, plain = (plain_purifiers()[name](pixels, FACE) for pixels in (noisy, picture))
    assert cleaned.shape == picture.shape
    energy = [np.mean((a.astype(float) - b) ** 2) for a, b in ((noisy, picture), (cleaned, plain))]
    assert energy[1] < 0.6 * energy[0]
    assert np.mean((plain.astype(float) - picture) ** 2) < 500


def test_denoiser_learns_to_take_the_cloak_away(cloaks: list[Cloaked], picture: np.ndarray) -> None:
    from cloud_server.evaluation.protection.purify import purifier_of, train_denoiser

    told: list[tuple[int, int]] = []
    network, left = train_denoiser(cloaks, steps=40, seed=1, progress=lambda *at: told.append(at))
    assert left < 0.8
    assert told[-1] == (40, 40)
    cleaned = purifier_of(network)(picture, FACE)
    top, bottom, x0, x1 = window(picture.shape, FACE)
    outside = np.ones(picture.shape[:2], bool)
    outside[top:bottom, x0:x1] = False
    assert np.array_equal(cleaned[outside], picture[outside])
    assert not np.array_equal(cleaned, picture)


def test_adapted_network_sees_through_the_cloaks_it_was_shown(cloaks: list[Cloaked], zoo: Path) -> None:
    from cloud_server.evaluation.protection.adapt import adapt, as_recogniser, embed_all

    store = Store(zoo)
    attacked = attacked_like(cloaks, load_net("mobilefacenet-512", store))
    content = store.read(load_card("mobilefacenet-512"))
    made = adapt(content, attacked, steps=6, seed=0, progress=lambda *_: None)
    assert made.cosine_before < 0.6
    assert made.cosine_after > made.cosine_before + 0.05
    clean = np.stack([cloak.clean for cloak in cloaks])
    rng = np.random.default_rng(0)
    faces = np.concatenate([clean, rng.random((130, 3, 112, 112), dtype=np.float32)])
    people = [f"p{i}" for i in range(len(faces))]
    asked = as_recogniser("adapted", made.network, faces, people)
    vectors = embed_all(made.network, faces)
    cosines = (vectors @ vectors.T)[np.triu_indices(len(faces), 1)]
    assert np.mean(cosines >= asked.threshold) <= 1.1e-3


def test_one_person_is_too_few_to_adapt_on(cloaks: list[Cloaked], zoo: Path) -> None:
    from cloud_server.evaluation.protection.adapt import adapt
    from shared.errors import GoodnoiseError

    content = Store(zoo).read(load_card("mobilefacenet-512"))
    with pytest.raises(GoodnoiseError, match="too few"):
        adapt(content, cloaks[:2], steps=1, seed=0, progress=lambda *_: None)
