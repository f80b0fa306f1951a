from __future__ import annotations

import math

import numpy as np
import pytest

from cloud_server.paper.equation import attack_success, best_threshold

YES, NO = True, False


@pytest.mark.parametrize(
    ("without", "with_", "value", "tar", "protection"),
    [
        ([YES, YES, YES, YES], [NO, NO, NO, NO], 1.0, 1.0, 1.0),
        ([YES, YES, YES, YES], [YES, YES, YES, YES], 0.0, 1.0, 0.0),
        ([YES, YES, NO, NO], [NO, YES, NO, NO], 0.25, 0.5, 0.5),
        # A pair that an attack brings together counts against it in equation 1, not in the protection rate.
        ([YES, YES, NO, NO], [NO, YES, YES, NO], 0.0, 0.5, 0.5),
        ([NO, NO, NO, YES], [YES, YES, YES, YES], -0.75, 0.25, 0.0),
        ([YES], [NO], 1.0, 1.0, 1.0),
    ],
)
def test_equation_1(
    without: list[bool], with_: list[bool], value: float, tar: float, protection: float
) -> None:
    asr = attack_success(without, with_)
    assert asr.value == pytest.approx(value)
    assert asr.value == pytest.approx((asr.n_without - asr.n_with) / asr.total)
    assert asr.clean_tar == pytest.approx(tar)
    assert asr.protection == pytest.approx(protection)
    assert -1 <= asr.low <= asr.value <= asr.high <= 1


def test_without_a_match_to_begin_with_there_is_no_protection_rate() -> None:
    asr = attack_success([NO, NO], [NO, NO])
    assert asr.value == 0
    assert math.isnan(asr.protection)


@pytest.mark.parametrize(("without", "with_"), [([], []), ([YES], [YES, NO]), ([[YES]], [[NO]])])
def test_what_cannot_be_compared_is_refused(without: list[bool], with_: list[bool]) -> None:
    with pytest.raises(ValueError, match="equally long"):
        attack_success(without, with_)


def test_the_interval_of_a_certain_share_reaches_it_and_has_a_width() -> None:
    asr = attack_success([YES] * 50, [NO] * 50)
    assert asr.high == 1.0
    assert 0.85 < asr.low < 1.0


def test_the_paired_interval_covers_the_truth(rng: np.random.Generator) -> None:
    # Pairs that agree more than chance, as pairs do that matched before.
    truth, covered, runs = 0.5, 0, 400
    for _ in range(runs):
        before = rng.random(60) < 0.95
        after = before & (rng.random(60) < (0.45 / 0.95))
        asr = attack_success(before, after)
        covered += asr.low <= truth <= asr.high
    assert covered / runs > 0.92


def test_the_best_threshold_parts_both_kinds() -> None:
    value = best_threshold([0.5, 0.6, 0.9], [0.1, 0.2, 0.3])
    assert 0.3 < value <= 0.5
    assert best_threshold([0.5, 0.6, 0.05], [0.1, 0.2, 0.3]) == pytest.approx(0.4)
    with pytest.raises(ValueError, match="both kinds"):
        best_threshold([], [0.1])


def test_the_best_threshold_is_as_good_as_a_search_over_all(rng: np.random.Generator) -> None:
    same, different = rng.normal(0.6, 0.2, 80), rng.normal(0.3, 0.2, 70)

    def right(value: float) -> int:
        return int((same >= value).sum() + (different < value).sum())

    found = best_threshold(same, different)
    assert right(found) == max(right(v) for v in np.concatenate([same, different]))
