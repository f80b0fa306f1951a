"""What wire levels send: rates of randomised response, packing, the cluster rule, the random frame."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.levels.bits import pack_bits, unpack_bits
from shared.levels.cluster import CLUSTERS, cluster_name, cluster_of, cluster_pose
from shared.levels.frame import RandomFrame, random_start
from shared.levels.response import fresh_generator, keep_probability, randomise_bits, randomise_choice
from shared.levels.signs import SIGN_BYTES, signs_of
from shared.levels.sketch import SKETCH_BITS, sketch_of, upsampled

SEEDS = st.integers(0, 2**32 - 1)
# Eyes, nose, mouth corners of the ArcFace template.
TEMPLATE = np.array([[38.3, 51.7], [73.5, 51.5], [56.0, 71.7], [41.5, 92.4], [70.7, 92.2]])


@pytest.mark.parametrize("epsilon", [0.0, 0.5, 2.0])
def test_choices_are_true_as_often_as_epsilon_says_and_all_lies_are_alike(epsilon: float) -> None:
    rng = np.random.default_rng(1)
    sent = np.bincount(
        [randomise_choice(3, 16, epsilon=epsilon, rng=rng) for _ in range(40_000)], minlength=16
    )
    shares = sent / 40_000
    assert shares[3] == pytest.approx(keep_probability(16, epsilon), abs=0.01)
    lies = np.delete(shares, 3)
    assert np.ptp(lies) < 0.012
    # The definition: no true value makes an answer more than e^epsilon times as likely.
    assert keep_probability(16, epsilon) / ((1 - keep_probability(16, epsilon)) / 15) == pytest.approx(
        math.exp(epsilon)
    )


@pytest.mark.parametrize("epsilon", [0.0, 0.25, 2.0])
def test_bits_flip_one_by_one(epsilon: float) -> None:
    bits = np.random.default_rng(0).random((300, 400)) < 0.5
    sent = randomise_bits(bits, epsilon=epsilon, rng=np.random.default_rng(1))
    same = sent == bits
    expected = keep_probability(2, epsilon)
    assert same.mean() == pytest.approx(expected, abs=0.01)
    assert same[bits].mean() == pytest.approx(same[~bits].mean(), abs=0.01)
    assert np.corrcoef(same[:, :-1].ravel(), same[:, 1:].ravel())[0, 1] == pytest.approx(0, abs=0.02)


def test_without_noise_the_truth_is_sent() -> None:
    rng = np.random.default_rng(0)
    bits = rng.random(64) < 0.5
    assert np.array_equal(randomise_bits(bits, epsilon=math.inf, rng=rng), bits)
    assert {randomise_choice(5, 16, epsilon=math.inf, rng=rng) for _ in range(50)} == {5}


def test_fresh_generators_draw_apart() -> None:
    assert len({fresh_generator().integers(2**62) for _ in range(20)}) == 20


@pytest.mark.parametrize(
    ("value", "count", "epsilon"), [(16, 16, 1.0), (-1, 16, 1.0), (0, 1, 1.0), (0, 4, -1)]
)
def test_bad_settings_are_refused(value: int, count: int, epsilon: float) -> None:
    with pytest.raises(ValueError, match="expected"):
        randomise_choice(value, count, epsilon=epsilon, rng=np.random.default_rng(0))


@given(SEEDS, st.integers(1, 200))
def test_packing_is_exact(seed: int, count: int) -> None:
    bits = np.random.default_rng(seed).random(count) < 0.5
    assert np.array_equal(unpack_bits(pack_bits(bits), count), bits)
    with pytest.raises(ValueError, match="bytes"):
        unpack_bits(pack_bits(bits) + b"\0", count)


def test_a_sign_map_has_the_size_that_is_stated() -> None:
    assert len(pack_bits(signs_of(np.zeros((3, 112, 112), np.float32)))) == SIGN_BYTES == 4704


@given(SEEDS)
def test_a_sketch_of_its_own_map_is_the_sketch(seed: int) -> None:
    bits = np.random.default_rng(seed).random(SKETCH_BITS) < 0.5
    assert np.array_equal(sketch_of(upsampled(bits)), bits)
    assert np.array_equal(sketch_of(-upsampled(bits)), ~bits)


def test_clusters_follow_pose_light_and_size() -> None:
    face = np.full((3, 112, 112), 0.5, np.float32)
    bright = face.copy()
    bright[:, :, 56:] = 0.9
    found = set()
    for shift in (-9.0, -3.0, 3.0, 9.0):
        for scale in (1.0, 3.0):
            for image in (face, bright):
                turned = TEMPLATE.copy()
                turned[2, 0] += shift
                found.add(cluster_of(turned * scale, image))
    assert found == set(range(CLUSTERS))
    assert len({cluster_name(number) for number in found}) == CLUSTERS
    with pytest.raises(ValueError, match="16"):
        cluster_name(16)


@given(SEEDS)
def test_a_frame_is_undone(seed: int) -> None:
    rng = np.random.default_rng(seed)
    smooth = rng.random((3, 7, 7)).astype(np.float32).repeat(16, 1).repeat(16, 2)
    moved = RandomFrame.draw(rng)
    back = moved.undo(moved.apply(smooth))
    assert np.abs(back - smooth)[:, 30:82, 30:82].mean() < 0.06
    assert np.array_equal(RandomFrame.identity().apply(smooth), smooth)


@given(SEEDS)
def test_a_random_start_stays_near_and_in_range(seed: int) -> None:
    rng = np.random.default_rng(seed)
    face = rng.random((3, 112, 112)).astype(np.float32)
    start = random_start(face, rng)
    assert np.abs(start - face).max() <= 8.001 / 255
    assert start.min() >= 0
    assert start.max() <= 1


@pytest.mark.parametrize(("shift", "pose"), [(-14.0, 0), (-4.0, 1), (4.0, 2), (14.0, 3)])
@pytest.mark.parametrize("light", [0, 1])
@pytest.mark.parametrize("large", [0, 1])
def test_a_clusters_number_is_read_from_pose_light_and_size(
    shift: float, pose: int, light: int, large: int
) -> None:
    face = np.full((3, 112, 112), 0.4, np.float32)
    face[:, :, 56:] = 0.6 if light else 0.2
    turned = TEMPLATE.copy()
    turned[2, 0] += shift
    number = cluster_of(turned * (3.0 if large else 1.0), face)
    assert number == (pose * 2 + light) * 2 + large
    assert cluster_pose(number) == ("left" if shift < 0 else "right")


def test_frames_are_small_and_never_the_same() -> None:
    rng = np.random.default_rng(4)
    drawn = np.stack([RandomFrame.draw(rng).matrix for _ in range(400)])
    scale = np.hypot(drawn[:, 0, 0], drawn[:, 1, 0])
    angle = np.degrees(np.arctan2(drawn[:, 1, 0], drawn[:, 0, 0]))
    shift = drawn @ np.array([55.5, 55.5, 1.0]) - 55.5
    assert np.log(scale).std() == pytest.approx(0.05, rel=0.2)
    assert angle.std() == pytest.approx(3.0, rel=0.2)
    assert shift.std() == pytest.approx(3.0, rel=0.2)
    assert len({matrix.tobytes() for matrix in drawn}) == 400
