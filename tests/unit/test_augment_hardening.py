"""Hardening: rare rows move, a little, away from their class, and nothing else changes."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")

from cloud_server.augment.hardening import HARDENING, Hardener  # noqa: E402
from models.vision.networks import build_classifier  # noqa: E402
from models.vision.training import Training, fit, predict  # noqa: E402

pytestmark = pytest.mark.torch

CLASSES = ("down", "along", "across")
SHAPE = (3, 16, 16)


def stripes(count, seed):
    """Images of three directions under noise, N C H W, and their labels."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:16, :16]
    labels = np.arange(count) % 3
    waves = np.stack([np.sin(0.8 * w) for w in (columns, rows, rows + columns)])[labels]
    images = 128 + 20 * waves[:, None] + rng.normal(0, 25, (count, *SHAPE))
    return images.clip(0, 255).astype(np.uint8), labels.astype(np.int64)


@pytest.fixture(scope="module")
def network():
    images, labels = stripes(300, 0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = build_classifier("tiny", 3, size=16)
    return fit(made, images, labels, Training(updates=60, batch=32, rate=0.1, augment="none"), seed=0)


def hardener(network, **changes):
    settings = {"classes": CLASSES, "shape": SHAPE, "rare": [1], "share": 1.0, "seed": 3} | changes
    return Hardener(network, **settings)


def test_only_rare_rows_move_and_no_further_than_the_budget(network):
    images, labels = stripes(60, 1)
    before = images.copy()
    out = hardener(network)(images, labels)
    assert np.array_equal(images, before)
    moved = (out.astype(np.float64) - images) / 255
    lengths = np.sqrt((moved**2).sum(axis=(1, 2, 3)))
    assert (lengths[labels != 1] == 0).all()
    assert (lengths[labels == 1] > 0.1).all()
    assert lengths.max() <= HARDENING.budget.radius + 1e-9


def test_moved_images_are_harder_and_random_ones_of_the_same_size_are_not(network):
    images, labels = stripes(90, 2)
    out = hardener(network, rare=[0, 1, 2])(images, labels)
    noise = np.random.default_rng(6).normal(size=images.shape)
    noise *= 255 * HARDENING.budget.radius / np.sqrt((noise**2).sum(axis=(1, 2, 3), keepdims=True))
    shaken = np.rint(images + noise).clip(0, 255).astype(np.uint8)

    def loss(x):
        logits = torch.from_numpy(predict(network, x))
        return float(torch.nn.functional.cross_entropy(logits, torch.from_numpy(labels)))

    assert loss(out) > 3 * loss(images)
    assert loss(shaken) < 2 * loss(images)


def test_the_network_is_left_as_it_was(network):
    images, labels = stripes(30, 3)
    network.train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    hardener(network)(images, labels)
    assert network.training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    network.eval()


def test_the_share_and_the_seed_decide_which_rows(network):
    images, labels = stripes(600, 4)

    def chosen(**changes):
        out = hardener(network, rare=[0, 1, 2], **changes)(images, labels)
        return (out != images).any(axis=(1, 2, 3))

    assert chosen(share=0.5).mean() == pytest.approx(0.5, abs=0.08)
    assert not chosen(share=0.0).any()
    assert np.array_equal(chosen(share=0.5), chosen(share=0.5))
    assert not np.array_equal(chosen(share=0.5), chosen(share=0.5, seed=4))


def test_the_same_batch_is_moved_otherwise_the_next_time(network):
    images, labels = stripes(60, 5)
    harden = hardener(network, rare=[0, 1, 2])
    assert not np.array_equal(harden(images, labels), harden(images, labels))


@pytest.mark.parametrize(
    ("changes", "named"),
    [({"rare": []}, "rare"), ({"rare": [3]}, "rare"), ({"rare": [-1]}, "rare"), ({"share": 1.5}, "share")],
)
def test_what_makes_no_sense_is_named(network, changes, named):
    with pytest.raises(ValueError, match=f"^{named}: "):
        hardener(network, **changes)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda x, y: (x.astype(np.float32) / 255, y), "images"),
        (lambda x, y: (x.transpose(0, 2, 3, 1), y), "images"),
        (lambda x, y: (x, y[1:]), "labels"),
    ],
)
def test_a_batch_of_another_kind_is_named(network, change, named):
    with pytest.raises(ValueError, match=f"^{named}: "):
        hardener(network)(*change(*stripes(6, 7)))
