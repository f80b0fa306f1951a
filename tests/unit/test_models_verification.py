from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.lfw import Pair
from models.store import load_card
from models.verification import accuracy, measure_threshold
from shared.cards import Metric, Threshold
from shared.errors import Code, GoodnoiseError


def slow_measure(a: np.ndarray, b: np.ndarray, metric: Metric) -> float:
    return float(a @ b) if metric == "cosine" else float(np.linalg.norm(a - b))


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    metric=st.sampled_from(["cosine", "euclidean"]),
    far=st.sampled_from([0.02, 0.1]),
)
def test_the_threshold_admits_the_false_accept_rate_and_no_more(
    seed: int, metric: Metric, far: float
) -> None:
    rng = np.random.default_rng(seed)
    people = [f"person{index % 13}" for index in range(60)]
    vectors = rng.normal(size=(60, 5)).astype(np.float32)
    if metric == "cosine":
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    threshold = measure_threshold(vectors, people, metric, far=far, data="noise")
    pairs = list(combinations(range(60), 2))
    measures = np.array([slow_measure(vectors[i], vectors[j], metric) for i, j in pairs])
    same = np.array([people[i] == people[j] for i, j in pairs])
    tolerance = 1e-5 if metric == "cosine" else -1e-5
    limit = threshold.value - tolerance
    matched = measures >= limit if metric == "cosine" else measures <= limit
    assert matched[~same].sum() == pytest.approx(int(far * (~same).sum()), abs=1)
    assert matched[same].mean() == pytest.approx(threshold.tar, abs=1 / same.sum())


def test_rows_without_a_face_are_left_out(rng: np.random.Generator) -> None:
    people = [f"person{index}" for index in range(150)]
    vectors = rng.normal(size=(150, 8)).astype(np.float32)
    whole = measure_threshold(vectors, people, "euclidean", far=0.01, data="noise")
    holes = np.concatenate([vectors, np.full((3, 8), np.nan, np.float32)])
    assert (
        measure_threshold(holes, [*people, "a", "b", "c"], "euclidean", far=0.01, data="noise").value
        == whole.value
    )


def test_chosen_pairs_give_the_true_accept_rate(rng: np.random.Generator) -> None:
    vectors = np.eye(200, dtype=np.float32)
    vectors[1] = vectors[0]
    people = ["twice", "twice", *(f"person{index}" for index in range(198))]
    threshold = measure_threshold(vectors + 1e-3, people, "cosine", far=0.001, data="axes", same=[(0, 1)])
    assert threshold.tar == 1.0
    assert "1 pairs of one person" in threshold.data


def test_too_few_strangers_are_refused(rng: np.random.Generator) -> None:
    with pytest.raises(GoodnoiseError, match="too few") as caught:
        measure_threshold(
            rng.random((10, 3), np.float32), list("abcdefghij"), "cosine", far=1e-3, data="noise"
        )
    assert caught.value.code is Code.PRECONDITION


def test_accuracy_counts_by_fold_and_skips_pairs_without_a_face() -> None:
    # Two folds of two pairs: in each, the pair of one person at distance 0.2 or 0.3, that of two at 1 or 0.9.
    points = {"a": 0.0, "b": 0.2, "c": 5.0, "d": 6.0, "e": 10.0, "f": 10.3, "g": 20.0, "h": 20.9, "i": np.nan}
    pairs = [
        Pair("a", "b", fold=1, same=True),
        Pair("c", "d", fold=1, same=False),
        Pair("e", "f", fold=2, same=True),
        Pair("g", "h", fold=2, same=False),
        Pair("a", "i", fold=2, same=True),
    ]
    card = replace(load_card("dlib-resnet"), threshold=Threshold(0.25, 1e-3, 0.5, "here"))
    vectors = np.array(list(points.values()), np.float32)[:, None]
    result = accuracy(vectors, list(points), pairs, card)
    assert (result.pairs, result.skipped) == (4, 1)
    assert result.best == 1.0
    assert (result.tar, result.far) == (0.5, 0.0)


def test_a_network_that_ranks_backwards_is_no_better_than_chance() -> None:
    points = {"a": 0.0, "b": 9.0, "c": 1.0, "d": 1.1, "e": 0.0, "f": 8.0, "g": 2.0, "h": 2.2}
    pairs = [
        Pair("a", "b", fold=1, same=True),
        Pair("c", "d", fold=1, same=False),
        Pair("e", "f", fold=2, same=True),
        Pair("g", "h", fold=2, same=False),
    ]
    vectors = np.array(list(points.values()), np.float32)[:, None]
    assert accuracy(vectors, list(points), pairs, load_card("dlib-resnet")).best <= 0.5
