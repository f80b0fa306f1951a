"""The sampler keeps imbalanced-learn's conventions, for tables, rows of images, arrays and lazy datasets."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import partial
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("imblearn")

from imblearn.pipeline import make_pipeline  # noqa: E402 - after both were found
from imblearn.utils.estimator_checks import parametrize_with_checks  # noqa: E402
from sklearn.base import clone  # noqa: E402
from sklearn.linear_model import LogisticRegression  # noqa: E402
from sklearn.preprocessing import FunctionTransformer  # noqa: E402
from sklearn.utils.estimator_checks import parametrize_with_checks as parametrize_with_common  # noqa: E402
from torch import nn  # noqa: E402

from cloud_server.augment.recipes import RECIPES  # noqa: E402
from cloud_server.augment.rows import Rows, Unencoded, scale_of  # noqa: E402
from cloud_server.augment.sampler import AdversarialSampler  # noqa: E402
from cloud_server.augment.surrogate import Surrogate, as_surrogate  # noqa: E402
from cloud_server.augment.types import Kind  # noqa: E402

pytestmark = pytest.mark.torch

QUICK = RECIPES["m2m"].with_(steps=2, confidence=0.5)
TABLES = AdversarialSampler(random_state=0, recipe=QUICK, updates=10)


# The checks that are left out, two of at most four, and why. The first is not even asked, since the sampler
# says that it takes no sparse matrices; the second asks all the same.
EXCLUDED = {
    "check_samplers_sparse": "an attack moves every value, so that no zero stays one",
    "check_samplers_pandas_sparse": "as above, with the zeros in a data frame's columns",
}


def _name(value: object) -> str:
    return value.func.__name__ if isinstance(value, partial) else "sampler"


# Both marks hold generators, which pytest takes no longer.
_CHECKS = [
    *parametrize_with_checks([TABLES], expected_failed_checks=lambda _: EXCLUDED).args[1],
    *parametrize_with_common([TABLES]).args[1],
]


@pytest.mark.parametrize(("estimator", "check"), _CHECKS, ids=_name)
def test_the_checks_of_both_libraries_hold(estimator: AdversarialSampler, check: object):
    check(estimator)  # type: ignore[operator]


Images = npt.NDArray[np.uint8]


@pytest.fixture
def images(rng: np.random.Generator) -> Images:
    """Three classes, each brighter in its own channel; 8 x 8."""
    x = rng.integers(60, 140, (70, 8, 8, 3))
    for k, (start, stop) in enumerate(((0, 40), (40, 60), (60, 70))):
        x[start:stop, :, :, k] += 25
    return x.astype(np.uint8)


@pytest.fixture
def labels() -> npt.NDArray[np.str_]:
    return np.repeat(["cat", "dog", "frog"], [40, 20, 10])


@pytest.fixture
def network() -> nn.Module:
    """Sees each class in the mean of its channel."""
    dense = nn.Linear(3, 3)
    dense.weight.data = torch.eye(3) * 40
    dense.bias.data.zero_()
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), dense)


def test_classes_come_out_even_and_new_rows_are_named_for_what_the_surrogate_sees(
    images: Images, labels: npt.NDArray[np.str_], network: nn.Module
):
    recipe = RECIPES["m2m"].with_(confidence=0.5, suppress=0.0)
    sampler = AdversarialSampler(random_state=0, surrogate=network, recipe=recipe)
    x, y = sampler.fit_resample(images, labels)
    assert Counter(y) == {"cat": 40, "dog": 40, "frog": 40}
    assert x.dtype == np.uint8
    assert x.shape == (120, 8, 8, 3)
    assert np.array_equal(x[:70], images)
    assert np.array_equal(y[:70], labels)
    assert sampler.sampling_strategy_ == {"dog": 20, "frog": 30}
    assert len(sampler.provenance_) == 50
    kinds = Counter(row.kind for row in sampler.provenance_)
    assert kinds[Kind.ADVERSARIAL] > 25
    with torch.no_grad():
        seen = network(torch.from_numpy(x[70:].transpose(0, 3, 1, 2).copy()) / 255.0).argmax(dim=1)
    for place, row in enumerate(sampler.provenance_):
        if row.accepted:
            assert ("cat", "dog", "frog")[seen[place]] == y[70 + place] == row.target_label
            assert row.surrogate_sha256 == sampler.surrogate_.sha256


def test_sample_indices_lead_to_the_parents(images: Images, labels: npt.NDArray[np.str_], network: nn.Module):
    sampler = AdversarialSampler(random_state=0, surrogate=network, recipe=QUICK)
    x, y = sampler.fit_resample(images, labels)
    assert np.array_equal(sampler.sample_indices_[:70], np.arange(70))
    for place, row in enumerate(sampler.provenance_):
        parent = sampler.sample_indices_[70 + place]
        assert labels[parent] == row.source_label
        change = (x[70 + place].astype(float) - images[parent]) / 255
        assert np.sqrt((change**2).sum()) == pytest.approx(row.l2)
        assert row.l2 <= 1.5
        if row.kind is Kind.DUPLICATE:
            assert labels[parent] == y[70 + place]


def test_rows_floats_and_arrays_of_one_dataset_give_the_same_samples(
    images: Images, labels: npt.NDArray[np.str_], network: nn.Module
):
    sampler = AdversarialSampler(random_state=0, surrogate=network, recipe=QUICK)
    whole, _ = sampler.fit_resample(images, labels)
    rows = clone(sampler).set_params(image_shape=(8, 8, 3))
    flat, _ = rows.fit_resample(images.reshape(70, -1), labels)
    assert np.array_equal(flat.reshape(whole.shape), whole)
    floats, _ = sampler.fit_resample((images / 255).astype(np.float32), labels)
    assert floats.dtype == np.float32
    np.testing.assert_allclose(floats * 255, whole, atol=1e-3)


def test_grey_rows_take_two_numbers_for_their_shape(rng: np.random.Generator):
    x, y = rng.random((30, 24)), np.repeat([0, 1], [20, 10])
    flat = nn.Sequential(nn.Flatten(), nn.Linear(24, 2))
    sampler = AdversarialSampler(random_state=0, surrogate=flat, image_shape=(4, 6))
    found, _ = sampler.fit_resample(x, y)
    assert found.shape == (40, 24)
    assert sampler.surrogate_.shape == (1, 4, 6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda x: x / 255.0 * 2 - 1,
            r"floating images must lie in \[0,1\], got -0.*take back a normalisation",
        ),
        (lambda x: x.astype(np.float32), r"got 6\d to 164; divide levels by 255"),
        (lambda x: x.astype(np.int64), r"must be uint8 .* or floating .*, got int64"),
        (lambda x: x[..., 0], r"images must be N x H x W x C, got \(70, 8, 8\)"),
        (lambda x: np.where(x > 160, np.nan, x / 255), "finite"),
        (lambda x: x[:69], "inconsistent numbers of samples"),
    ],
)
def test_ambiguous_or_broken_images_are_refused(
    images: Images, labels: npt.NDArray[np.str_], network: nn.Module, change: object, message: str
):
    with pytest.raises(ValueError, match=message):
        AdversarialSampler(surrogate=network).fit_resample(change(images), labels)  # type: ignore[operator]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"recipe": "m3m"}, "there is no 'm3m'"),
        ({"recipe": "d-rand"}, "balances nothing; use resample_source"),
        ({"recipe": "aeda-both"}, "balances nothing; use resample_source"),
        ({"recipe": 5}, "'recipe' parameter of AdversarialSampler must be"),
        ({"updates": 0}, "'updates' parameter"),
        ({"image_shape": (8,)}, r"image_shape must be \(H, W\) or \(H, W, C\)"),
        ({"image_shape": (8, 9, 3)}, r"image_shape \(8, 9, 3\): rows must be \(8, 9, 3\), got \(8, 8, 3\)"),
        ({"recipe": "aeda"}, "give the group of each image"),
    ],
)
def test_wrong_settings_are_named(
    images: Images,
    labels: npt.NDArray[np.str_],
    network: nn.Module,
    settings: dict[str, object],
    message: str,
):
    sampler = AdversarialSampler(surrogate=network).set_params(**settings)
    with pytest.raises(ValueError, match=message):
        sampler.fit_resample(images, labels)


def test_a_surrogate_of_another_shape_is_named(
    images: Images, labels: npt.NDArray[np.str_], network: nn.Module
):
    other = Surrogate(network, ("cat", "dog", "frog"), (3, 9, 9))
    with pytest.raises(ValueError, match=r"takes C H W \(3, 9, 9\), the images are \(3, 8, 8\)"):
        AdversarialSampler(surrogate=other).fit_resample(images, labels)


def test_a_pipeline_resamples_in_fit_and_nowhere_else(
    images: Images, labels: npt.NDArray[np.str_], network: nn.Module
):
    flat = FunctionTransformer(lambda x: x.reshape(len(x), -1) / 255.0)
    sampler = AdversarialSampler(random_state=0, surrogate=network)
    pipeline = make_pipeline(sampler, flat, LogisticRegression(max_iter=200))
    pipeline.fit(images, labels)
    assert pipeline.predict(images).shape == (70,)
    assert (pipeline.predict(images) == labels).mean() > 0.9
    fitted = pipeline[0]
    assert len(fitted.sample_indices_) == 120


def test_one_is_trained_on_the_spot_that_sees_rare_classes(images: Images, labels: npt.NDArray[np.str_]):
    sampler = AdversarialSampler(random_state=0, network="tiny", updates=40)
    x, _ = sampler.fit_resample(images, labels)
    surrogate = sampler.surrogate_
    assert surrogate.classes == ("cat", "dog", "frog")
    with torch.no_grad():
        seen = surrogate.network(torch.from_numpy(images.transpose(0, 3, 1, 2).copy()) / 255.0).argmax(dim=1)
    right = seen.numpy() == np.repeat([0, 1, 2], [40, 20, 10])
    assert right[60:].mean() > 0.8
    again, _ = clone(sampler).fit_resample(images, labels)
    assert np.array_equal(x, again)


def test_against_bias_groups_even_out_and_labels_stay(images: Images, network: nn.Module):
    labels = np.tile(["a", "b"], 35)
    groups = np.repeat(["x", "y", "z"], [40, 20, 10])
    sampler = AdversarialSampler(random_state=0, recipe="aeda", surrogate=network)
    x, y = sampler.fit_resample(images, labels, groups=groups)
    assert len(x) == 120
    assert Counter(y) == {"a": 60, "b": 60}
    assert Counter(row.target for row in sampler.provenance_) == {"y": 20, "z": 30}
    assert all(row.source_label == row.target_label for row in sampler.provenance_)
    with pytest.raises(ValueError, match="groups: expected one for each of 70 images"):
        sampler.fit_resample(images, labels, groups=groups[:5])


def test_universal_perturbations_are_trained_on_the_way(
    images: Images, labels: npt.NDArray[np.str_], network: nn.Module
):
    recipe = RECIPES["universal"].with_(steps=5)
    sampler = AdversarialSampler(random_state=0, recipe=recipe, surrogate=network)
    sampler.fit_resample(images, labels)
    assert {row.kind for row in sampler.provenance_} <= {Kind.ADVERSARIAL, Kind.UNACCEPTED}
    assert all(0 < row.levels <= 8 for row in sampler.provenance_)


def test_controls_need_no_surrogate_and_repeat_exactly(images: Images, labels: npt.NDArray[np.str_]):
    floats = images / 255.0 * 0.999
    sampler = AdversarialSampler(random_state=0, recipe="duplicate")
    x, y = sampler.fit_resample(floats, labels)
    assert sampler.surrogate_ is None
    assert np.array_equal(x, floats[sampler.sample_indices_])
    assert np.array_equal(y, labels[sampler.sample_indices_])


def test_nothing_is_made_where_nothing_is_asked_for(images: Images):
    x, y = AdversarialSampler(random_state=0).fit_resample(images, np.repeat([0, 1], 35))
    assert np.array_equal(x, images)
    assert len(y) == 70


class Counted(Rows):
    """A dataset that remembers what was read of it."""

    def read(self, index: int) -> Images:
        self.seen.append(index)
        return super().read(index)

    seen: ClassVar[list[int]] = []


def test_a_lazy_dataset_is_read_as_samples_are_taken(images: Images, network: nn.Module):
    labels = np.repeat([0, 1, 2], [40, 20, 10])
    source = Counted(images, scale_of(images, None), labels, ("cat", "dog", "frog"))
    source.seen.clear()
    surrogate = as_surrogate(network, classes=source.classes, shape=(3, 8, 8))
    recipe = replace(QUICK, tries=1)
    sampler = AdversarialSampler({"frog": 150}, random_state=0, recipe=recipe, surrogate=surrogate)
    samples = sampler.resample_source(source, codec=Unencoded((8, 8, 3)))
    first = next(samples)
    assert first.provenance.target_label == "frog"
    assert len(source.seen) < 70 + 70
    rest = list(samples)
    assert [sample.draw.number for sample in [first, *rest]] == list(range(140))
