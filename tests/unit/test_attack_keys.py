from __future__ import annotations

from itertools import combinations

import numpy as np

from shared.attack.keys import Keys


def _draw(keys: Keys, index: int = 0) -> tuple[float, ...]:
    return tuple(keys.rng(index).random(4))


def test_a_draw_depends_on_the_image_and_not_on_its_batch() -> None:
    whole = Keys(7, (10, 20, 30), 3)
    assert _draw(whole, 1) == _draw(Keys(7, (20,), 3)) == _draw(Keys(7, (30, 20), 3), 1)
    assert _draw(whole.pick(1, 3)) == _draw(whole, 1)


def test_every_part_of_the_key_counts() -> None:
    base = Keys(7, (10,), 3)
    others = [
        Keys(8, (10,), 3),
        Keys(7, (11,), 3),
        base.at(4),
        base.fork(0),
        base.fork(1),
        base.fork(0).fork(0),
        base.fork(0).fork(1),
        base.fork(1).fork(0),
    ]
    draws = [_draw(keys) for keys in (base, *others)]
    assert all(a != b for a, b in combinations(draws, 2))


def test_neighbouring_keys_are_not_correlated() -> None:
    draws = np.array([Keys(1, (i,), s).rng(0).standard_normal(200) for i in range(6) for s in range(6)])
    correlation = np.corrcoef(draws) - np.eye(36)
    assert np.abs(correlation).max() < 0.4


def test_what_is_shared_is_the_same_in_any_batch_and_not_what_an_image_draws() -> None:
    one, other = Keys(7, (0, 1), 3), Keys(7, (5,), 3)
    assert one.shared().random() == other.shared().random()
    assert one.shared().random() != one.rng(0).random()


def test_any_integer_is_a_seed_or_an_id() -> None:
    draws = {_draw(Keys(seed, (image,))) for seed in (-1, 0, 2**70 + 1) for image in (-5, 2**64 - 1)}
    assert len(draws) == 6
