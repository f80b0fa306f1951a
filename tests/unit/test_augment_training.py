"""Surrogates that are trained on a dataset read lazily, and files of them."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from shared.errors import Code, GoodnoiseError

torch = pytest.importorskip("torch")

from cloud_server.augment import training  # noqa: E402 - after torch was found
from cloud_server.augment.rows import Rows, scale_of  # noqa: E402
from cloud_server.augment.surrogate import as_surrogate, sha256_of  # noqa: E402
from cloud_server.augment.training import SurrogateTraining, train_surrogate  # noqa: E402
from models.vision.networks import build_classifier  # noqa: E402
from models.vision.saving import save_classifier  # noqa: E402
from models.vision.training import Batch, fit  # noqa: E402

pytestmark = pytest.mark.torch

CLASSES = ("cat", "dog")
QUICK = SurrogateTraining("tiny", updates=25, batch=16)


@pytest.fixture
def source(rng: np.random.Generator) -> Rows:
    """Ninety dark pictures and six that are a little brighter: hardly to be told by their number."""
    x = rng.integers(40, 160, (96, 8, 8, 1), dtype=np.uint8)
    x[90:] += 20
    labels = np.repeat([0, 1], [90, 6])
    return Rows(x, scale_of(x, None), labels, CLASSES, np.arange(96) % 2, ("in", "out"))


def test_a_balanced_surrogate_sees_the_rare_class_that_another_does_not(source: Rows):
    found = {}
    for balance in ("sampling", "none"):
        surrogate = train_surrogate(source, QUICK, seed=1, balance=balance)
        assert (surrogate.classes, surrogate.shape) == (CLASSES, (1, 8, 8))
        with torch.no_grad():
            planes = torch.from_numpy(source.x[90:].transpose(0, 3, 1, 2).copy()) / 255.0
            found[balance] = float(torch.softmax(surrogate.network(planes), dim=1)[:, 1].mean())
    assert found["sampling"] > 0.5 > found["none"]


def test_deferred_re_weighting_draws_images_as_they_come_and_weights_the_last_fifth(
    source: Rows, monkeypatch
):
    seen: list[Batch] = []

    def watched(network, *arguments, batches, **others):
        kept, batches = itertools.tee(batches)
        trained = fit(network, *arguments, batches=batches, **others)
        seen.extend(itertools.islice(kept, QUICK.updates))
        return trained

    monkeypatch.setattr(training, "fit", watched)
    train_surrogate(source, QUICK, seed=1, balance="deferred")
    assert [batch.weights is None for batch in seen] == [True] * 20 + [False] * 5
    labels, weights = (
        np.concatenate(part) for part in ([b.labels for b in seen], [b.weights for b in seen[20:]])
    )
    assert labels.mean() < 0.15
    late = labels[20 * QUICK.batch :]
    assert weights[late == 1].min() > 10 * weights[late == 0].max()


def test_the_same_seed_trains_the_same_weights_also_after_an_interruption(source: Rows, tmp_path: Path):
    settings = SurrogateTraining("tiny", updates=205, batch=4)
    whole = train_surrogate(source, settings, seed=1)

    def stop(update: int, loss: float) -> None:
        if update == 203:
            raise KeyboardInterrupt

    state = tmp_path / "surrogate.state"
    with pytest.raises(KeyboardInterrupt):
        train_surrogate(source, settings, seed=1, state=state, on_update=stop)
    assert state.exists()
    updates: list[int] = []
    again = train_surrogate(source, settings, seed=1, state=state, on_update=lambda u, _: updates.append(u))
    assert updates == [201, 202, 203, 204, 205]
    assert again.sha256 == whole.sha256
    assert train_surrogate(source, QUICK, seed=2).sha256 != train_surrogate(source, QUICK, seed=1).sha256


def test_training_leaves_torchs_own_generator_alone(source: Rows):
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    train_surrogate(source, QUICK, seed=1)
    assert torch.equal(torch.rand(1), expected)


def test_groups_can_be_told_apart_instead(source: Rows):
    assert train_surrogate(source, QUICK, seed=1, groups=True).classes == ("in", "out")
    bare = Rows(source.x, source.scale, source.labels, CLASSES)
    with pytest.raises(ValueError, match="has no groups to tell apart"):
        train_surrogate(bare, QUICK, seed=1, groups=True)
    alone = Rows(source.x, source.scale, np.zeros(96, np.int64), CLASSES)
    with pytest.raises(ValueError, match="needs images of two classes or more, got 1"):
        train_surrogate(alone, QUICK, seed=1)


def test_settings_and_networks_that_cannot_be_are_named_before_training(source: Rows):
    for settings, message in (
        (SurrogateTraining("tiny", updates=0), "needs 1 update"),
        (SurrogateTraining("huge"), "there is no 'huge'"),
    ):
        with pytest.raises(ValueError, match=message):
            train_surrogate(source, settings, seed=1)
    low = source.x[:, :4]
    with pytest.raises(GoodnoiseError, match="expected 8 x 8 with 3 channels, got 4 x 8"):
        train_surrogate(
            Rows(low, scale_of(low, None), source.labels, CLASSES), QUICK, seed=1, shape=(3, 8, 8)
        )


def test_a_saved_classifier_is_a_surrogate_for_its_own_classes(tmp_path: Path):
    torch.manual_seed(0)
    network, path = build_classifier("tiny", 2, channels=1, size=8), tmp_path / "tiny.npz"
    save_classifier(path, network, name="tiny", classes=CLASSES, shape=(1, 8, 8))
    surrogate = as_surrogate(path, classes=CLASSES, shape=(1, 8, 8))
    assert surrogate.sha256 == sha256_of(network)
    with pytest.raises(GoodnoiseError, match="was trained for cat, dog, the dataset has cat, toad") as caught:
        as_surrogate(path, classes=("cat", "toad"), shape=(1, 8, 8))
    assert caught.value.code is Code.PRECONDITION
