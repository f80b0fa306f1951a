"""Plans: which samples are asked for, and of which images they are to be made."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from cloud_server.augment.plan import Strategy, plan, plan_counts, wanted
from cloud_server.augment.recipes import RECIPES

CLASSES = ("cat", "dog", "frog", "newt")
LABELS = np.repeat([0, 1, 2, 3], [60, 60, 10, 20])
COUNTS = np.bincount(LABELS)


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        ("auto", {1: 0, 2: 50, 3: 40}),
        ("not majority", {2: 50, 3: 40}),
        ("all", {2: 50, 3: 40}),
        ("minority", {2: 50}),
        ("not minority", {3: 40}),
        (0.5, {2: 20, 3: 10}),
        ({"frog": 15}, {2: 5}),
        ({2: 12, "newt": 20}, {2: 2, 3: 0}),
        (lambda names: {"frog": int((names == "newt").sum())}, {2: 10}),
    ],
)
def test_strategies_mean_what_imbalanced_learn_means(strategy: Strategy, expected: dict[int, int]):
    found = wanted(LABELS, CLASSES, strategy)
    assert {k: n for k, n in found.items() if n} == {k: n for k, n in expected.items() if n}


@pytest.mark.parametrize(
    ("strategy", "message"),
    [
        ("most", "must be one of auto, minority"),
        (1.5, "a share must lie in 0 to 1, got 1.5"),
        (True, "a share must lie in 0 to 1, got True"),
        ({"toad": 3}, "there is no class 'toad'; known are cat, dog, frog, newt"),
        ({"cat": 3}, "class 'cat' has 60 images"),
        ({"cat": 70.5}, "got 70.5"),
    ],
)
def test_a_strategy_that_cannot_be_met_is_named(strategy: Strategy, message: str):
    with pytest.raises(ValueError, match="sampling_strategy") as caught:
        wanted(LABELS, CLASSES, strategy)
    assert message in str(caught.value)


@pytest.mark.parametrize("name", ["paper", "m2m"])
def test_parents_come_from_larger_classes_and_spares_from_the_class_itself(name: str):
    draws = plan(LABELS, classes=CLASSES, recipe=RECIPES[name], seed=5)
    assert [draw.number for draw in draws] == list(range(90))
    for draw in draws:
        parent = LABELS[draw.seeds[0]]
        assert COUNTS[parent] > COUNTS[draw.label]
        assert LABELS[draw.spare] == draw.label == draw.target


def test_parents_and_spares_come_back_only_when_all_were_used():
    draws = plan(LABELS, classes=CLASSES, recipe=RECIPES["paper"], strategy={"frog": 70}, seed=5)
    parents = Counter(draw.seeds[0] for draw in draws)
    assert max(parents.values()) == 1
    assert set(Counter(draw.spare for draw in draws).values()) == {6}


def test_m2m_prefers_parents_of_much_larger_classes():
    labels = np.repeat([0, 1, 2], [5000, 200, 100])
    draws = plan_counts(labels, {2: 1000}, classes=3, recipe=RECIPES["m2m"], seed=1)
    parents = Counter(int(labels[draw.seeds[0]]) for draw in draws)
    # 1 - 0.999^4900 to 1 - 0.999^100: 0.993 to 0.095.
    assert parents[0] / 1000 == pytest.approx(0.993 / (0.993 + 0.095), abs=0.03)
    assert set(parents) == {0, 1}


def test_more_tries_are_other_parents():
    many = RECIPES["m2m"].with_(tries=4)
    draws = plan(LABELS, classes=CLASSES, recipe=many, seed=5)
    assert max(len(draw.seeds) for draw in draws) == 4
    assert all(len(set(draw.seeds)) == len(draw.seeds) for draw in draws)


def test_a_seed_is_a_plan():
    first, again, other = (
        plan(LABELS, classes=CLASSES, recipe=RECIPES["m2m"], seed=seed) for seed in (1, 1, 2)
    )
    assert first == again != other


def test_d_rand_and_d_det_take_every_image_once_under_another_name():
    for name in ("d-rand", "d-det"):
        draws = plan(LABELS, classes=CLASSES, recipe=RECIPES[name], seed=5)
        assert [draw.seeds for draw in draws] == [(i,) for i in range(len(LABELS))]
        assert all(draw.label == draw.target != LABELS[draw.seeds[0]] for draw in draws)
    assert {draw.label for draw in draws if LABELS[draw.seeds[0]] == 3} == {0}
    with pytest.raises(ValueError, match="needs two classes or more"):
        plan(np.zeros(3, np.int64), classes=("cat",), recipe=RECIPES["d-det"], seed=1)


def test_against_bias_groups_even_out_inside_each_class():
    labels = np.repeat([0, 1], 50)
    groups = np.concatenate([np.repeat([0, 1], [45, 5]), np.repeat([0, 1], [10, 40])])
    draws = plan(labels, classes=("cat", "dog"), recipe=RECIPES["aeda"], seed=5, groups=groups)
    assert Counter((draw.label, draw.target) for draw in draws) == {(0, 1): 40, (1, 0): 30}
    for draw in draws:
        assert labels[draw.seeds[0]] == labels[draw.spare] == draw.label
        assert groups[draw.seeds[0]] != draw.target == groups[draw.spare]
    assert [draw.number for draw in draws] == list(range(70))


def test_both_ways_every_image_crosses_over_once_and_keeps_its_class():
    labels, groups = np.repeat([0, 1], 20), np.arange(40) % 3
    draws = plan(labels, classes=("cat", "dog"), recipe=RECIPES["aeda-both"], seed=5, groups=groups)
    assert [draw.seeds for draw in draws] == [(i,) for i in range(40)]
    assert [draw.label for draw in draws] == labels.tolist()
    assert all(draw.target != group for draw, group in zip(draws, groups, strict=True))
    assert {draw.target for draw in draws if groups[draw.number] == 0} == {1, 2}
    with pytest.raises(ValueError, match="needs two groups or more"):
        plan(labels, classes=("cat", "dog"), recipe=RECIPES["aeda-both"], seed=5, groups=labels * 0)


def test_a_group_that_a_class_never_shows_is_made_without_spares():
    labels, groups = np.repeat([0, 1], 10), np.repeat([0, 1], [12, 8])
    draws = plan(labels, classes=("cat", "dog"), recipe=RECIPES["aeda"], strategy=0.5, seed=5, groups=groups)
    assert Counter((draw.label, draw.target, draw.spare) for draw in draws) == {
        (0, 1, -1): 5,
        (1, 0, 10): 1,
        (1, 0, 11): 1,
    }


def test_against_bias_needs_groups_and_no_counts():
    with pytest.raises(ValueError, match="give the group of each image"):
        plan(LABELS, classes=CLASSES, recipe=RECIPES["aeda"], seed=1)
    with pytest.raises(ValueError, match="give the group of each image"):
        plan(LABELS, classes=CLASSES, recipe=RECIPES["aeda-both"], seed=1)
    with pytest.raises(ValueError, match="a word or a share"):
        plan(LABELS, classes=CLASSES, recipe=RECIPES["aeda"], seed=1, groups=LABELS % 2, strategy={"cat": 99})


def test_controls_take_the_parents_that_they_stand_for():
    for name, own in (("duplicate", True), ("noise", True), ("unperturbed", False)):
        draws = plan(LABELS, classes=CLASSES, recipe=RECIPES[name], seed=5)
        assert all(bool(LABELS[draw.seeds[0]] == draw.label) is own for draw in draws)


def test_the_largest_class_takes_parents_from_all_others():
    draws = plan(LABELS, classes=CLASSES, recipe=RECIPES["m2m"], strategy={"cat": 100}, seed=5)
    assert {int(LABELS[draw.seeds[0]]) for draw in draws} == {1, 2, 3}
    with pytest.raises(ValueError, match="no image could be a parent"):
        plan(np.zeros(3, np.int64), classes=("cat",), recipe=RECIPES["m2m"], strategy={"cat": 5}, seed=1)
