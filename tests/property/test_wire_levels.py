"""What each wire level says of a photo: rates of truth, cells, bits as bytes, random frames."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.faces.frames import FRAMES
from shared.levels.cluster import CLUSTERS, cluster_name, cluster_of, pose_of_cluster
from shared.levels.frame import RandomFrame, random_start
from shared.levels.response import fresh_generator, randomise_bits, randomise_choice, truth_rate
from shared.levels.signs import SIGN_BYTES, pack_signs, signs_of, unpack_signs
from shared.levels.sketch import SKETCH_BITS, pack_bits, sketch_of, spread_sketch, unpack_bits

EPSILONS = st.floats(0.0, 6.0)


def near(count, total, rate):
    """Within five deviations of a binomial."""
    return abs(count / total - rate) < 5 * math.sqrt(max(rate * (1 - rate), 1e-9) / total) + 1e-9


@settings(max_examples=25, deadline=None)
@given(EPSILONS, st.integers(0, 2**32))
def test_bits_are_kept_as_often_as_epsilon_says(epsilon, seed):
    rng = np.random.default_rng(seed)
    truth = rng.random(20_000) < 0.5
    kept = randomise_bits(truth, epsilon=epsilon, rng=rng) == truth
    rate = math.exp(epsilon) / (1 + math.exp(epsilon))
    assert near(kept[truth].sum(), truth.sum(), rate)
    assert near(kept[~truth].sum(), (~truth).sum(), rate)


@settings(max_examples=15, deadline=None)
@given(EPSILONS, st.integers(2, 16), st.integers(0, 2**32), st.data())
def test_a_choice_is_true_as_often_as_epsilon_says_and_else_any_other(epsilon, count, seed, data):
    value = data.draw(st.integers(0, count - 1))
    rng = np.random.default_rng(seed)
    drawn = [randomise_choice(value, count, epsilon=epsilon, rng=rng) for _ in range(6000)]
    found = np.bincount(drawn, minlength=count)
    rate = math.exp(epsilon) / (math.exp(epsilon) + count - 1)
    assert len(found) == count
    for other in range(count):
        expected = rate if other == value else (1 - rate) / (count - 1)
        assert near(found[other], 6000, expected)


def test_no_noise_is_the_truth_and_no_epsilon_a_coin(rng):
    bits = rng.random((3, 112, 112)) < 0.5
    np.testing.assert_array_equal(randomise_bits(bits, epsilon=math.inf, rng=rng), bits)
    assert all(randomise_choice(5, 16, epsilon=math.inf, rng=rng) == 5 for _ in range(100))
    assert truth_rate(16, 0.0) == pytest.approx(1 / 16)
    assert truth_rate(1, 2.0) == 1.0
    assert randomise_choice(0, 1, epsilon=0.0, rng=rng) == 0


@pytest.mark.parametrize(
    "wrong",
    [
        lambda rng: randomise_bits(np.zeros(3), epsilon=1.0, rng=rng),
        lambda rng: randomise_bits(np.zeros(3, bool), epsilon=-1.0, rng=rng),
        lambda rng: randomise_bits(np.zeros(3, bool), epsilon=math.nan, rng=rng),
        lambda rng: randomise_choice(16, 16, epsilon=1.0, rng=rng),
        lambda rng: randomise_choice(0, 0, epsilon=1.0, rng=rng),
        lambda rng: sketch_of(np.zeros((112, 112, 3), np.float32)),
        lambda rng: spread_sketch(np.zeros(15, bool)),
        lambda rng: signs_of(np.zeros((3, 8, 8), np.float32)),
        lambda rng: pack_bits(np.zeros(16, np.uint8)),
        lambda rng: unpack_bits(b"123", 16),
        lambda rng: unpack_signs(b"1" * (SIGN_BYTES - 1)),
        lambda rng: cluster_name(CLUSTERS),
        lambda rng: pose_of_cluster(-1),
        lambda rng: cluster_of(FRAMES["arcface112"].array(), np.zeros((3, 8, 8), np.float32)),
        lambda rng: RandomFrame.draw(rng).apply(np.zeros((1, 112, 112), np.float32)),
    ],
)
def test_a_callers_mistake_is_named(rng, wrong):
    with pytest.raises(ValueError, match="expected"):
        wrong(rng)


def test_every_generator_is_fresh():
    assert len({fresh_generator().integers(2**63) for _ in range(50)}) == 50


@given(st.lists(st.booleans(), max_size=70))
def test_bits_come_back_from_bytes(bits):
    array = np.array(bits, dtype=bool)
    content = pack_bits(array)
    assert len(content) == (len(bits) + 7) // 8
    np.testing.assert_array_equal(unpack_bits(content, len(bits)), array)


def test_a_sign_map_comes_back_from_its_bytes(rng):
    gradient = rng.standard_normal((3, 112, 112)).astype(np.float32)
    content = pack_signs(signs_of(gradient))
    assert len(content) == SIGN_BYTES == 4704
    np.testing.assert_array_equal(unpack_signs(content), gradient > 0)


@given(st.lists(st.booleans(), min_size=16, max_size=16))
def test_a_sketch_spread_over_the_face_has_that_sketch(bits):
    array = np.array(bits, dtype=bool)
    np.testing.assert_array_equal(sketch_of(spread_sketch(array)), array)


def test_a_sketch_is_the_sign_of_each_cell(rng):
    gradient = rng.standard_normal((3, 112, 112)).astype(np.float32)
    bits = sketch_of(gradient)
    assert bits.shape == (SKETCH_BITS,)
    for row in range(4):
        for column in range(4):
            cell = gradient[:, 28 * row : 28 * row + 28, 28 * column : 28 * column + 28]
            assert bits[4 * row + column] == (cell.sum(dtype=np.float64) > 0)


def face_points(turn, eyes):
    points = FRAMES["arcface112"].array().copy()
    points[2, 0] += turn
    return points * (eyes / 35.24)


@pytest.mark.parametrize("light", [0, 1])
@pytest.mark.parametrize("size", [0, 1])
@pytest.mark.parametrize(("turn", "pose"), [(-14.0, 0), (-4.0, 1), (4.0, 2), (14.0, 3)])
def test_the_kind_of_a_face_is_read_from_pose_light_and_size(turn, pose, light, size):
    face = np.full((3, 112, 112), 0.4, np.float32)
    face[:, :, 56:] = 0.6 if light else 0.2
    cluster = cluster_of(face_points(turn, 80.0 if size else 40.0), face)
    assert cluster == (pose * 2 + light) * 2 + size
    assert pose_of_cluster(cluster) == ("left" if turn < 0 else "right")


def test_sixteen_kinds_have_sixteen_names():
    assert len({cluster_name(cluster) for cluster in range(CLUSTERS)}) == CLUSTERS == 16


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32))
def test_a_frame_is_undone(seed):
    rng = np.random.default_rng(seed)
    smooth = cv2.GaussianBlur(rng.standard_normal((112, 112, 3)).astype(np.float32), (0, 0), 4).transpose(
        2, 0, 1
    )
    frame = RandomFrame.draw(rng)
    back = frame.undo(frame.apply(np.ascontiguousarray(smooth)))
    inside = (slice(None), slice(36, 76), slice(36, 76))  # what no draw moves out of the frame
    np.testing.assert_allclose(back[inside], smooth[inside], atol=0.08 * float(np.abs(smooth).max()))


def test_frames_are_small_and_never_the_same(rng):
    drawn = [RandomFrame.draw(rng) for _ in range(400)]
    assert np.std([math.log(f.scale) for f in drawn]) == pytest.approx(0.05, rel=0.2)
    assert np.std([f.degrees for f in drawn]) == pytest.approx(3.0, rel=0.2)
    assert np.std([f.shift for f in drawn]) == pytest.approx(3.0, rel=0.2)
    assert len(set(drawn)) == 400


def test_a_start_lies_within_eight_levels_and_in_range(rng):
    face = rng.random((3, 112, 112)).astype(np.float32)
    started = random_start(face, rng)
    assert started.dtype == np.float32
    assert started.min() >= 0
    assert started.max() <= 1
    moved = np.abs(started - face).max() * 255
    assert 7 < moved <= 8.001
