from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from shared.attack.keys import Keys
from shared.attack.oracles import (
    Alternating,
    Ensemble,
    Expectation,
    Linear,
    LossGradient,
    Negated,
    ScaleCopies,
    Scaled,
)
from shared.attack.transforms import Chain, Identity, Mirror, Noise, Resize

Images = npt.NDArray[np.float32]
KEYS = Keys(0, (1, 2))


def _weight(seed: int) -> Images:
    return np.random.default_rng(seed).standard_normal((3, 5, 5)).astype(np.float32)


def _photos() -> Images:
    return np.random.default_rng(9).random((2, 3, 5, 5)).astype(np.float32)


def test_an_ensemble_is_the_weighted_sum() -> None:
    a, b = Linear(_weight(1)), Linear(_weight(2), 0.5)
    both = Ensemble([a, b], [0.25, 2.0])(_photos(), KEYS)
    np.testing.assert_allclose(both.gradient[0], 0.25 * _weight(1) + 2.0 * _weight(2), rtol=1e-5)
    expected = 0.25 * a(_photos(), KEYS).loss + 2.0 * b(_photos(), KEYS).loss
    np.testing.assert_allclose(both.loss, expected, rtol=1e-4)


def test_a_member_without_weight_is_not_called() -> None:
    def never(images: Images, keys: Keys, /) -> LossGradient:
        raise RuntimeError("called")

    one = Ensemble([Linear(_weight(1)), never], [1.0, 0.0])(_photos(), KEYS)
    np.testing.assert_array_equal(one.gradient[1], _weight(1))


def test_a_member_without_gradient_adds_nothing_when_normalised() -> None:
    pair = Ensemble([Linear(_weight(1)), Linear(np.float32(0.0))], normalise="l2")(_photos(), KEYS)
    assert np.linalg.norm(pair.gradient[0]) == pytest.approx(0.5, rel=1e-5)


def test_an_expectation_is_the_mean_of_independent_draws() -> None:
    seen: list[Images] = []

    def spying(images: Images, keys: Keys, /) -> LossGradient:
        seen.append(images)
        return Linear(_weight(1))(images, keys)

    found = Expectation(spying, Noise(10.0, 10.0), copies=4)(_photos(), KEYS)
    assert len(seen) == 4
    assert len({image.tobytes() for image in seen}) == 4
    losses = [Linear(_weight(1))(images, KEYS).loss for images in seen]
    np.testing.assert_allclose(found.loss, np.mean(losses, axis=0), rtol=1e-4)
    np.testing.assert_allclose(found.gradient[0], _weight(1), rtol=1e-5)


def test_an_expectation_carries_the_gradient_back() -> None:
    mirrored = Expectation(Linear(_weight(1)), Mirror(1.0))(_photos(), KEYS)
    np.testing.assert_array_equal(mirrored.gradient[0], _weight(1)[..., ::-1])
    plain = Expectation(Linear(_weight(1)), Identity())(_photos(), KEYS)
    np.testing.assert_array_equal(plain.gradient[1], _weight(1))


def test_an_expectation_inside_another_draws_on_its_own() -> None:
    seen: list[Images] = []

    def spying(images: Images, keys: Keys, /) -> LossGradient:
        seen.append(images)
        return Linear(_weight(1))(images, keys)

    flat = np.full((1, 3, 5, 5), 0.5, dtype=np.float32)
    noise = Noise(10.0, 10.0)
    Expectation(Expectation(spying, noise), Chain((noise,)))(flat, Keys(0, (1,)))
    Expectation(spying, Chain((noise,)))(flat, Keys(0, (1,)))
    twice, once = seen[0] - flat, seen[1] - flat
    # Were both draws the same, the sum would be twice the first.
    assert np.abs(twice - 2 * once).max() > 0.01


def test_draws_do_not_depend_on_the_batch() -> None:
    oracle = Expectation(Linear(_weight(1)), Chain((Resize(0.3, 0.9), Noise())), copies=3)
    both = oracle(_photos(), KEYS)
    second = oracle(_photos()[1:], Keys(0, (2,)))
    np.testing.assert_allclose(both.gradient[1:], second.gradient, atol=1e-6)


def _turn(oracle: Alternating, keys: Keys) -> int:
    """Which of `_members` it was."""
    return int(oracle(_photos()[: len(keys.ids)], keys).gradient[0, 0, 0, 0])


def _members(count: int) -> list[Linear]:
    return [Linear(np.full((3, 5, 5), number, np.float32)) for number in range(count)]


def test_turns_come_as_often_as_weights_say() -> None:
    oracle = Alternating(_members(3), [6, 3, 1])
    turns = np.bincount([_turn(oracle, Keys(0, (1,)).at(step)) for step in range(2000)], minlength=3)
    np.testing.assert_allclose(turns, [1200, 600, 200], atol=5 * np.sqrt(500))
    even = Alternating(_members(2))
    turns = np.bincount([_turn(even, Keys(0, (1,)).at(step)) for step in range(1000)], minlength=2)
    np.testing.assert_allclose(turns, [500, 500], atol=80)


def test_whose_turn_it_is_does_not_depend_on_the_batch() -> None:
    oracle = Alternating(_members(4))
    both = [_turn(oracle, KEYS.at(step)) for step in range(40)]
    assert both == [_turn(oracle, Keys(0, (2,)).at(step)) for step in range(40)]
    assert both != [_turn(oracle, Keys(1, (2,)).at(step)) for step in range(40)]
    assert len(set(both)) == 4


def test_who_has_the_turn_answers_alone_with_draws_of_its_own() -> None:
    calls: list[Keys] = []

    def spying(images: Images, keys: Keys, /) -> LossGradient:
        calls.append(keys)
        return Linear(_weight(1), 0.5)(images, keys)

    found = Alternating([spying])(_photos(), KEYS)
    expected = Linear(_weight(1), 0.5)(_photos(), KEYS)
    np.testing.assert_array_equal(found.loss, expected.loss)
    np.testing.assert_array_equal(found.gradient, expected.gradient)
    Alternating([spying, spying, spying])(_photos(), KEYS.at(1))
    assert len(calls) == 2
    assert [keys.ids for keys in calls] == [KEYS.ids, KEYS.ids]
    # The draw of the turn is not the member's own draw.
    assert calls[1].shared().random() != KEYS.at(1).shared().random()


def test_an_expectation_over_readers_in_turn_carries_the_gradient_back() -> None:
    oracle = Expectation(Alternating([Linear(_weight(1)), Linear(_weight(2))]), Mirror(1.0))
    for step in range(8):
        gradient = oracle(_photos(), KEYS.at(step)).gradient
        assert any(np.array_equal(gradient[0], _weight(seed)[..., ::-1]) for seed in (1, 2))


def test_scale_copies_weigh_each_copy_by_its_scale() -> None:
    found = ScaleCopies(Linear(_weight(1)), 3)(_photos(), KEYS)
    np.testing.assert_allclose(found.gradient[0], _weight(1) * (1 + 0.5 + 0.25) / 3, rtol=1e-5)


def test_scaled_and_negated() -> None:
    base = Linear(_weight(1), 3.0)(_photos(), KEYS)
    np.testing.assert_allclose(Scaled(Linear(_weight(1), 3.0), 2.5)(_photos(), KEYS).loss, 2.5 * base.loss)
    np.testing.assert_array_equal(Negated(Linear(_weight(1), 3.0))(_photos(), KEYS).gradient, -base.gradient)


def test_a_caller_s_mistake_is_named() -> None:
    with pytest.raises(ValueError, match="one oracle"):
        Ensemble([])
    with pytest.raises(ValueError, match="2 weights"):
        Ensemble([Linear(_weight(1))], [1.0, 2.0])
    with pytest.raises(ValueError, match="Alternating: expected one oracle"):
        Alternating([])
    with pytest.raises(ValueError, match="Alternating: 1 oracles but 2 weights"):
        Alternating([Linear(_weight(1))], [1.0, 2.0])
    with pytest.raises(ValueError, match="every weight is 0"):
        Ensemble([Linear(_weight(1))], [0.0])
    with pytest.raises(ValueError, match="copies"):
        Expectation(Linear(_weight(1)), Identity(), 0)
    with pytest.raises(ValueError, match="copies"):
        ScaleCopies(Linear(_weight(1)), 0)(_photos(), KEYS)


@pytest.mark.parametrize("weights", [[0.0, 0.0], [0, 0]])
def test_nobody_s_turn_is_a_caller_s_mistake(weights: list[float]) -> None:
    with pytest.raises(ValueError, match="every weight is 0"):
        Alternating([Linear(_weight(1)), Linear(_weight(2))], weights)
