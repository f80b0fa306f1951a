"""Distillation: frequent rows move into rare classes; what is learnt is what the surrogate says of them."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")

from cloud_server.augment.distilling import MOVING, Distiller  # noqa: E402
from cloud_server.augment.recipes import RECIPES  # noqa: E402
from cloud_server.augment.surrogate import as_surrogate  # noqa: E402
from models.vision.networks import build_classifier  # noqa: E402
from models.vision.training import Batch, Training, fit, predict  # noqa: E402

pytestmark = pytest.mark.torch

CLASSES = ("down", "along", "across")
SHAPE = (3, 16, 16)
TRAINING = Training(updates=60, batch=32, rate=0.1, augment="none")


def stripes(count, seed):
    """Images of three directions under noise, N C H W, and their labels."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:16, :16]
    labels = np.arange(count) % 3
    waves = np.stack([np.sin(0.8 * w) for w in (columns, rows, rows + columns)])[labels]
    images = 128 + 20 * waves[:, None] + rng.normal(0, 25, (count, *SHAPE))
    return images.clip(0, 255).astype(np.uint8), labels.astype(np.int64)


def untrained(seed):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build_classifier("tiny", 3, size=16)


@pytest.fixture(scope="module")
def surrogate():
    network = fit(untrained(0), *stripes(300, 0), TRAINING, seed=0)
    return as_surrogate(network, classes=CLASSES, shape=SHAPE)


def distiller(surrogate, **changes):
    settings = {"rare": [1], "share": 1.0, "seed": 3} | changes
    return Distiller(surrogate, **settings)


def lengths(out, images):
    moved = (out.astype(np.float64) - images) / 255
    return np.sqrt((moved**2).sum(axis=(1, 2, 3)))


def answers(surrogate, images, temperature):
    return torch.softmax(torch.from_numpy(predict(surrogate.network, images)) / temperature, dim=1).numpy()


def test_only_frequent_rows_move_and_no_further_than_the_budget(surrogate):
    images, labels = stripes(60, 1)
    before = images.copy()
    out, _ = distiller(surrogate)(images, labels)
    assert np.array_equal(images, before)
    assert (lengths(out, images)[labels == 1] == 0).all()
    assert (lengths(out, images)[labels != 1] > 0.5).all()
    assert lengths(out, images).max() <= MOVING.budget.radius + 1e-9


def test_moved_rows_reach_the_rare_class_and_noise_of_the_same_size_does_not(surrogate):
    images, labels = stripes(90, 2)
    moved = labels != 1
    attacked = distiller(surrogate)(images, labels).targets[moved]
    noise = RECIPES["noise-relabelled"].with_(radius=MOVING.budget.radius)
    shaken = distiller(surrogate, recipe=noise)(images, labels).targets[moved]
    assert (attacked.argmax(axis=1) == 1).mean() > 0.9
    assert (shaken.argmax(axis=1) == 1).mean() < 0.1


def test_moved_rows_teach_the_answer_alone_and_the_others_the_label_too(surrogate):
    images, labels = stripes(60, 3)
    out, targets = distiller(surrogate, weight=0.25, temperature=3.0)(images, labels)
    said, moved = answers(surrogate, out, 3.0), labels != 1
    assert targets.dtype == np.float32
    assert targets[moved] == pytest.approx(said[moved], abs=1e-5)
    known = 0.75 * np.eye(3)[labels] + 0.25 * said
    assert targets[~moved] == pytest.approx(known[~moved], abs=1e-5)


def test_a_network_learns_from_answers_alone(surrogate):
    images, _ = stripes(300, 4)
    wrong = np.zeros(300, np.int64)
    _, targets = distiller(surrogate, share=0.0, weight=1.0)(images, wrong)
    rng = np.random.default_rng(0)
    rows = [rng.integers(0, 300, 32) for _ in range(TRAINING.updates)]
    batches = (Batch(images[r], wrong[r], targets=targets[r]) for r in rows)
    student = fit(untrained(1), images, wrong, TRAINING, seed=0, batches=batches)
    test, labels = stripes(90, 5)
    assert (predict(student, test).argmax(axis=1) == labels).mean() > 0.9


def test_the_share_and_the_seed_decide_which_rows(surrogate):
    images, labels = stripes(600, 6)

    def chosen(**changes):
        return lengths(distiller(surrogate, **changes)(images, labels).images, images) > 0

    assert chosen(share=0.5)[labels != 1].mean() == pytest.approx(0.5, abs=0.08)
    assert not chosen(share=0.0).any()
    assert np.array_equal(chosen(share=0.5), chosen(share=0.5))
    assert not np.array_equal(chosen(share=0.5), chosen(share=0.5, seed=4))


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"rare": []}, "rare"),
        ({"rare": [3]}, "rare"),
        ({"rare": [-1]}, "rare"),
        ({"rare": [0, 1, 2]}, "rare"),
        ({"share": 1.5}, "share"),
        ({"weight": -0.1}, "weight"),
        ({"temperature": 0.0}, "temperature"),
    ],
)
def test_what_makes_no_sense_is_named(surrogate, changes, named):
    with pytest.raises(ValueError, match=f"^{named}: "):
        distiller(surrogate, **changes)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda x, y: (x.astype(np.float32) / 255, y), "images"),
        (lambda x, y: (x.transpose(0, 2, 3, 1), y), "images"),
        (lambda x, y: (x, y[1:]), "labels"),
        (lambda x, y: (x, y + 1), "labels"),
    ],
)
def test_a_batch_of_another_kind_is_named(surrogate, change, named):
    with pytest.raises(ValueError, match=f"^{named}: "):
        distiller(surrogate)(*change(*stripes(6, 7)))
