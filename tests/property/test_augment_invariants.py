"""What holds for any recipe and any picture: budgets after rounding, plans, and independence of company."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud_server.augment.plan import plan_counts, wanted
from cloud_server.augment.recipes import RECIPES, Recipe

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402 - after torch was found

from cloud_server.augment.crafting import Crafter  # noqa: E402
from cloud_server.augment.rows import scale_of  # noqa: E402
from cloud_server.augment.surrogate import Surrogate  # noqa: E402
from shared.attack.budgets import L2  # noqa: E402

pytestmark = pytest.mark.torch

CLASSES = ("a", "b", "c")
SEEDS = st.integers(0, 2**31 - 1)


def network(side: int) -> nn.Module:
    torch.manual_seed(side)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, 1, 1), nn.ReLU(), nn.Flatten(), nn.Linear(4 * side * side, 3)
    ).eval()


@st.composite
def recipes(draw: st.DrawFn) -> Recipe:
    name = draw(st.sampled_from(["paper", "m2m", "d-rand", "noise"]))
    norm = draw(st.sampled_from(["l2", "linf"]))
    radius = draw(st.floats(0.05, 3.0)) if norm == "l2" else draw(st.floats(0.5, 32.0))
    changes: dict[str, object] = {"norm": norm, "radius": radius}
    if name != "noise":
        changes["steps"] = draw(st.integers(1, 4))
        changes["loss"] = draw(st.sampled_from(["cross-entropy", "logit", "margin"]))
    return RECIPES[name].with_(**changes)


@given(recipe=recipes(), seed=SEEDS, side=st.sampled_from([4, 7]), extremes=st.booleans())
@settings(max_examples=40, deadline=None)
def test_rounded_images_keep_any_budget(recipe: Recipe, seed: int, side: int, extremes: bool) -> None:
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (5, 1, side, side), dtype=np.uint8)
    if extremes:
        images = np.where(images > 127, 255, 0).astype(np.uint8)
    crafter = Crafter(recipe, Surrogate(network(side), CLASSES, (1, side, side)), seed=seed, batch=4)
    moved = crafter.perturb(images, rng.integers(0, 3, 5), rng.integers(0, 3, 5), range(5))
    change = moved.astype(np.float64) - images
    assert moved.dtype == np.uint8
    if recipe.budget.norm == "linf":
        assert np.abs(change).max() <= recipe.budget.radius
    else:
        assert np.sqrt((change**2).sum(axis=(1, 2, 3))).max() <= recipe.budget.radius * 255 * (1 + 1e-6)


@given(seed=SEEDS, place=st.integers(0, 7), count=st.integers(1, 8))
@settings(max_examples=25, deadline=None)
def test_an_image_does_not_depend_on_its_company(seed: int, place: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (8, 1, 6, 6), dtype=np.uint8)
    origins, targets = rng.integers(0, 3, 8), rng.integers(0, 3, 8)
    crafter = Crafter(RECIPES["m2m"], Surrogate(network(6), CLASSES, (1, 6, 6)), seed=seed, batch=8)
    whole = crafter.perturb(images, origins, targets, range(8))
    some = np.unique([place, *rng.choice(8, count)])
    part = crafter.perturb(images[some], origins[some], targets[some], [int(i) for i in some])
    assert np.array_equal(part, whole[some])


@given(
    counts=st.lists(st.integers(1, 30), min_size=2, max_size=5),
    name=st.sampled_from(["paper", "m2m", "duplicate"]),
    tries=st.integers(1, 3),
    seed=SEEDS,
)
@settings(max_examples=60, deadline=None)
def test_plans_even_classes_out_with_parents_of_others(
    counts: list[int], name: str, tries: int, seed: int
) -> None:
    labels = np.repeat(np.arange(len(counts)), counts)
    classes = tuple(f"c{k}" for k in range(len(counts)))
    recipe = RECIPES[name].with_(tries=tries)
    draws = plan_counts(
        labels, wanted(labels, classes, "auto"), classes=len(counts), recipe=recipe, seed=seed
    )
    made = Counter(draw.label for draw in draws)
    assert all(n + made[k] == max(counts) for k, n in enumerate(counts))
    for draw in draws:
        assert 1 <= len(draw.seeds) <= tries
        assert all((labels[i] == draw.label) == (name == "duplicate") for i in draw.seeds)
        assert labels[draw.spare] == draw.label


@given(radius=st.floats(1e-3, 1e3), elements=st.integers(1, 200_000))
def test_a_budget_has_the_radius_that_it_was_made_of(radius: float, elements: int) -> None:
    budget = L2.of_radius(radius, elements)
    image = np.zeros((1, 1, 1, elements), np.float32)
    assert math.isclose(float(budget.l2_radius(image)[0]), radius, rel_tol=1e-5)
    assert budget.cap_levels is None


@pytest.mark.parametrize(
    ("radius", "elements"), [(0.0, 3), (-1.0, 3), (math.nan, 3), (math.inf, 3), (1.0, 0)]
)
def test_a_radius_that_is_none_is_refused(radius: float, elements: int) -> None:
    with pytest.raises(ValueError, match="radius: expected one above 0"):
        L2.of_radius(radius, elements)


@given(seed=SEEDS, kind=st.sampled_from(["uint8", "float32", "float64", "table", "whole"]))
@settings(max_examples=40, deadline=None)
def test_rows_come_back_from_pictures_within_half_a_level(seed: int, kind: str) -> None:
    rng = np.random.default_rng(seed)
    if kind in ("table", "whole"):
        x = rng.normal(5, 20, (9, 4))
        x = np.rint(x).astype(np.int64) if kind == "whole" else x
        scale = scale_of(x, None)
    else:
        x = rng.integers(0, 256, (9, 12), dtype=np.uint8)
        x = x if kind == "uint8" else (rng.random((9, 12))).astype(kind)
        scale = scale_of(x, (2, 2, 3))
    back = np.stack([scale.values(scale.picture(row), row.shape) for row in x])
    assert back.dtype == x.dtype
    half = np.broadcast_to(scale.span, x.shape[1:]) / 510 + (0.5 if kind == "whole" else 0.0)
    assert (np.abs(back.astype(np.float64) - x) <= half + 1e-6).all() or kind == "uint8"
    assert kind != "uint8" or np.array_equal(back, x)
