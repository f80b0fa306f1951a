"""A cloud's answer is advice: what helps is used, what does not is dropped, and nothing of it can be read."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from edge_client.advice import Advice, Answer, HintReport, lifted, probe_of, without_trace
from edge_client.check import embed
from edge_client.cloak import CloakSettings, make_cloak
from edge_client.hints import local_gradient
from edge_client.ladder import parse_budget
from edge_client.photos import read_photo
from edge_client.protect import ProtectOptions, protect
from edge_client.recognisers import GradientOracle
from edge_client.region import face_region
from shared.attack.keys import Keys
from shared.attack.transforms import Warp
from shared.faces.frames import FRAMES, crop, similarity_to_frame

SHAPE = (3, 112, 112)
SETTINGS = CloakSettings(steps=10, more_steps=6, last_steps=4)


def test_what_began_with_an_answer_is_read_from_the_probe_and_taken_out(rng):
    answer = rng.standard_normal((1, *SHAPE)).astype(np.float32)
    probe = probe_of(answer, rng, grey=False)
    own = rng.standard_normal((1, *SHAPE)).astype(np.float32)
    for left in (0.0, 0.3, 0.9):
        washed = without_trace(own + np.float32(left) * (answer + probe), answer, probe)
        assert abs(float(np.vdot(washed, answer) / np.vdot(answer, answer))) < 0.02
        assert float(np.vdot(washed, own) / np.vdot(own, own)) == pytest.approx(1.0, abs=0.02)
    np.testing.assert_array_equal(np.abs(probe), np.abs(answer))
    grey = probe_of(np.repeat(answer[:, :1], 3, axis=1), rng, grey=True)
    np.testing.assert_array_equal(grey[:, 0], grey[:, 2])


@pytest.fixture(scope="module")
def face(photos, nets):
    """One face of a photo, ready to be attacked: photo, region, anchors, and its aligned crop."""
    photo = read_photo(photos / "astronaut.png")
    found = nets.detector.find(photo.pixels)[0]
    anchors = embed(photo.pixels, found, nets.recognisers)
    aligned = crop(photo.pixels, found.points(), FRAMES["arcface112"])[0]
    return photo, face_region(photo.pixels.shape, found), anchors, aligned


@pytest.fixture(scope="module")
def bare(nets):
    """The networks without the bundle's hints, so that an answer stands alone."""
    return replace(nets, universals=np.zeros((0, *SHAPE), np.float32))


def cloak(face, nets, direction=None, *, seed=5, budget="40dB", **settings):
    photo, region, anchors, _ = face
    advice = None if direction is None else Advice(np.asarray(direction, np.float32), seed)
    rung = parse_budget(budget)[0]
    return make_cloak(photo.pixels, region, anchors, nets, rung, replace(SETTINGS, **settings), advice=advice)


def similarity(face, nets, delta):
    photo, region, anchors, _ = face
    canvas = region.cut(photo.pixels)
    found = []
    for surrogate in nets.surrogates:
        warp = Warp(similarity_to_frame(region.landmarks(), surrogate.frame)[None], surrogate.frame.size)
        embedding = surrogate.embed(warp.apply(canvas + delta, warp.draw(Keys(0, (0,), 0), canvas.shape)))
        found.append(float(surrogate.similarity(embedding, anchors[surrogate.name]).mean()))
    return float(np.mean(found))


def helpful(face, nets):
    """The device's own gradient, averaged: no cloud's answer can do better against its loss."""
    total = np.zeros(SHAPE, np.float32)
    for seed in range(6):
        rng = np.random.default_rng(seed)
        gradient, frame = local_gradient(nets.surrogates[0], face[3], rng)
        total += frame.undo(gradient)
    return np.sign(total)


@pytest.mark.zoo
@pytest.mark.parametrize("budget", ["40dB", "8"])
def test_an_answer_that_helps_is_taken_and_stays_in_the_budget(face, bare, budget):
    taken = cloak(face, bare, helpful(face, bare), budget=budget)
    assert taken.advised
    plain = cloak(face, bare, budget=budget)
    assert not plain.advised
    assert taken.gradient_calls == plain.gradient_calls
    assert np.abs(taken.delta).max() * 255 <= parse_budget(budget)[0].levels + 1e-3
    # Not weaker than without it; random starts differ among themselves by as much.
    assert similarity(face, bare, taken.delta) < similarity(face, bare, plain.delta) + 0.1


@pytest.mark.zoo
@pytest.mark.parametrize(
    "useless",
    [
        lambda rng: np.zeros(SHAPE),
        lambda rng: np.ones(SHAPE),
        lambda rng: np.full(SHAPE, -128 / 127),
        lambda rng: rng.standard_normal(SHAPE),
        lambda rng: np.sign(rng.standard_normal(SHAPE)),
    ],
)
def test_an_answer_that_is_useless_changes_no_byte(face, bare, rng, useless):
    dropped = cloak(face, bare, useless(rng))
    assert not dropped.advised
    np.testing.assert_array_equal(dropped.delta, cloak(face, bare).delta)


@pytest.mark.zoo
def test_the_opposite_of_a_good_answer_does_no_harm(face, bare):
    # At the photo itself the loss is at its end: both ways along a direction lead down.
    plain = cloak(face, bare)
    opposite = cloak(face, bare, -helpful(face, bare))
    assert similarity(face, bare, opposite.delta) < similarity(face, bare, plain.delta) + 0.1


@pytest.mark.zoo
def test_with_album_anchors_an_answer_that_leads_back_is_dropped(face, bare):
    photo, region, anchors, aligned = face
    other = {r.name: r.embed(_moved(aligned)[None]) for r in bare.surrogates}
    album = (photo, region, {**anchors, **other}, aligned)
    canvas = aligned[None]
    surrogate = bare.surrogates[0]
    away = np.full((1, 1), -1.0, np.float32)
    oracle = GradientOracle(surrogate, other[surrogate.name][None], away)
    good = np.sign(oracle(canvas, Keys(0, (0,))).gradient[0])
    assert cloak(album, bare, good).advised
    dropped = cloak(album, bare, -good)
    assert not dropped.advised
    np.testing.assert_array_equal(dropped.delta, cloak(album, bare).delta)


def _moved(aligned):
    """The face as another photo of its owner might show it: darker, blurred, shifted."""
    image = cv2.GaussianBlur(aligned.transpose(1, 2, 0), (0, 0), 2.0) * 0.7
    return np.ascontiguousarray(np.roll(image, (3, -4), (0, 1)).transpose(2, 0, 1), np.float32)


def tag_found(face, cloaked, tag):
    """How far a pattern stands out of a perturbation, in deviations of chance."""
    photo, region, _, _ = face
    canvas = region.cut(photo.pixels)
    product = cloaked.delta * lifted(tag, region.landmarks(), (canvas.shape[2], canvas.shape[3]))
    return float(product.sum() / np.sqrt(np.square(product).sum()))


@pytest.mark.zoo
def test_a_tag_in_an_answer_cannot_be_read_out_of_the_result(face, bare):
    tag = np.random.default_rng(7).standard_normal(SHAPE).astype(np.float32)
    tagged = helpful(face, bare) + tag
    taken = [cloak(face, bare, tagged, seed=seed) for seed in range(4)]
    assert all(c.advised for c in taken)
    found = [tag_found(face, c, tag) for c in taken]
    chance = tag_found(face, cloak(face, bare), tag)
    assert abs(np.mean(found)) < 3.5
    assert abs(chance) < 4
    # The same measure finds it where its trace is left in.
    assert tag_found(face, cloak(face, bare, tagged, keep_trace=True), tag) > 8


@pytest.mark.zoo
def test_what_is_unknown_to_the_cloud_decides_the_last_steps(face, bare):
    good = helpful(face, bare)
    first, again, other = (cloak(face, bare, good, seed=seed).delta for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() * 255 > 1


class Told:
    """A source of hints that answers as it is told, and remembers whom it was asked about."""

    def __init__(self, answer):
        self.answer = answer
        self.faces = []

    def ask(self, pixels, face):
        self.faces.append(face)
        return self.answer


OPTIONS = ProtectOptions(parse_budget("45dB"), settings=CloakSettings(steps=4, more_steps=2))


@pytest.mark.zoo
def test_one_face_of_a_photo_is_asked_about_and_the_report_says_what_became_of_it(photos, nets):
    photo = read_photo(photos / "two.webp")
    report = HintReport("sketch", "asked", "", 2, 4.0)
    told = Told(Answer(report, Advice(np.zeros(SHAPE, np.float32), 1)))
    outcome = protect(photo, nets, OPTIONS, hints=told)
    assert len(told.faces) == 1
    assert len(outcome.faces) == 2
    assert outcome.hint is not None
    assert (outcome.hint.status, outcome.hint.sent_bytes, outcome.hint.epsilon) == ("dropped", 2, 4.0)
    plain = protect(photo, nets, OPTIONS)
    assert plain.data == outcome.data
    assert plain.hint is None


@pytest.mark.zoo
def test_protection_goes_on_without_an_answer(photos, nets):
    photo = read_photo(photos / "astronaut.png")
    outcome = protect(photo, nets, OPTIONS, hints=Told(Answer(HintReport("sign", "not asked", "spent"))))
    assert outcome.hint == HintReport("sign", "not asked", "spent")
    assert outcome.data == protect(photo, nets, OPTIONS).data
