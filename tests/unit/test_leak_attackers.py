"""Attackers of the leak gate: they find what is planted, and nothing in noise."""

import numpy as np
import pytest

from cloud_server.evaluation.leak.gate import Tried, judge
from cloud_server.evaluation.leak.payloads import (
    KINDS,
    Calls,
    Seen,
    mirrored,
    shuffled_back,
    signed_maps,
    true_clusters,
    unshuffled,
)
from cloud_server.evaluation.leak.people import some_faces, trial_of
from cloud_server.evaluation.leak.scores import measure
from cloud_server.hints.data import FaceSet
from shared.errors import Code, GoodnoiseError
from shared.levels.bits import pack_bits
from shared.levels.cluster import CLUSTERS
from shared.levels.response import keep_probability
from shared.levels.sketch import SKETCH_BITS, SKETCH_EPSILON

KIND = {kind.name: kind for kind in KINDS}
SIZE = 32


def unit(vectors):
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def people(rng):
    """Embeddings of 1,200 people, and what turns an embedding into 24 bits."""
    return unit(rng.normal(size=(1200, SIZE))), rng.normal(size=(SIZE, 24))


def linkage(payloads, targets, **schedule):
    from cloud_server.evaluation.leak.networks import Schedule, train_linkage

    return train_linkage(lambda rows, _: payloads[rows], targets, Schedule(**schedule), lambda *_: None)


@pytest.mark.torch
def test_bits_that_carry_the_person_are_found_out_on_people_never_seen(people):
    embeddings, mixing = people
    bits = np.sign(embeddings @ mixing).astype(np.float32)
    guess = linkage(bits[:800], embeddings[:800], bit_epochs=25)(bits[800:])
    found = measure(guess @ embeddings[800:].T)
    assert found.rank1.low > found.rank1.chance + 0.02
    assert found.tar.low > 0.2
    assert judge("sketch", [Tried("linkage", "1 call", found)], []).word == "failed"


@pytest.mark.torch
def test_bits_of_pure_noise_leave_the_attacker_at_chance(people, rng):
    embeddings, _ = people
    bits = np.sign(rng.normal(size=(1200, 24))).astype(np.float32)
    guess = linkage(bits[:600], embeddings[:600], bit_epochs=10)(bits[600:])
    found = measure(guess @ embeddings[600:].T)
    assert found.rank1.low <= found.rank1.chance
    assert found.tar.low <= 0.01 <= found.tar.high


@pytest.mark.torch
def test_maps_that_carry_the_person_are_found_out(rng):
    embeddings = unit(rng.normal(size=(260, 6)))
    plain = np.repeat(np.repeat(rng.normal(size=(6, 12, 7, 7)), 8, axis=2), 8, axis=3)
    maps = np.einsum("nd,dchw->nchw", embeddings, plain).astype(np.float32)
    guess = linkage(maps[:200], embeddings[:200], map_epochs=6, batch=20)(maps[200:])
    assert measure(guess @ embeddings[200:].T).auc > 0.9


@pytest.mark.torch
def test_the_inverter_draws_what_the_bits_say(rng):
    from cloud_server.evaluation.leak.networks import Schedule, train_inverter

    dark = rng.random(240) < 0.5
    faces = np.broadcast_to(np.where(dark, 0.2, 0.7)[:, None, None, None], (240, 3, 112, 112)).astype("f4")
    payloads = np.stack([np.where(dark, 1, -1), rng.choice([-1, 1], 240)], axis=1).astype(np.float32)
    draw = train_inverter(
        lambda rows, _: payloads[rows], faces[:200], Schedule(bit_epochs=15, batch=20), lambda *_: None
    )
    drawn = draw(payloads[200:])
    assert drawn.shape == (40, 3, 112, 112)
    assert drawn[dark[200:]].mean() < 0.35
    assert drawn[~dark[200:]].mean() > 0.55


def face_set(people, rng):
    turns = rng.normal(size=len(people)) * 6
    return FaceSet(rng.integers(0, 256, (len(people), 3, 112, 112), dtype=np.uint8), tuple(people), turns)


@pytest.fixture
def seen(rng):
    """Twelve faces, two calls about each."""
    faces = face_set([f"p{i // 2}" for i in range(12)], rng)
    gradients = rng.normal(size=(2, 12, 3, 112, 112)).astype(np.float32)
    calls = tuple(
        {
            "bits": rng.random((12, SKETCH_BITS)) < 0.5,
            "signs": np.stack([np.frombuffer(pack_bits(g > 0), np.uint8) for g in call]),
            "gradient": call.astype(np.float16),
        }
        for call in gradients
    )
    cloak = np.full((6, 3, 112, 112), 8, np.int8)
    fixed = {"bits": rng.random((12, SKETCH_BITS)) < 0.5}
    return Seen(faces, calls, fixed, cloak, np.arange(6), true_clusters(faces))


ROWS = np.arange(6)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_kind_makes_payloads_of_the_shape_its_attackers_take(kind, seen, rng):
    payloads = kind.make(seen, ROWS, Calls(kind.calls[-1]), rng)
    assert payloads.dtype == np.float32
    assert payloads.shape in {(6, 12, 56, 56), (6, CLUSTERS), (6, SKETCH_BITS)}


def test_many_calls_at_sketch_average_towards_the_bits(seen, rng):
    # So many calls that noise averages away: what is left are the bits, shrunk by the randomised response.
    payloads = KIND["sketch"].make(seen, ROWS, Calls(400_000), rng)
    truth = np.mean([np.where(call["bits"][ROWS], 1.0, -1.0) for call in seen.fresh], axis=0)
    shrunk = 2 * keep_probability(2, SKETCH_EPSILON) - 1
    assert payloads == pytest.approx(truth * shrunk, abs=0.02)


def test_one_call_at_sketch_is_bits_and_each_draw_is_new(seen, rng):
    draws = [KIND["sketch"].make(seen, ROWS, Calls(), rng) for _ in range(2)]
    assert set(np.unique(draws[0])) == {-1.0, 1.0}
    assert not np.array_equal(*draws)


def test_without_noise_the_same_photo_sends_the_same(seen, rng):
    for name in ("sketch, noise off", "cluster, noise off"):
        first, second = (KIND[name].make(seen, ROWS, Calls(), rng) for _ in range(2))
        assert np.array_equal(first, second)


def test_cluster_is_true_about_as_often_as_its_epsilon_says(seen, rng):
    truth = KIND["cluster, noise off"].make(seen, ROWS, Calls(), rng)
    sent = np.concatenate([KIND["cluster"].make(seen, ROWS, Calls(), rng) for _ in range(400)])
    kept = (sent * np.tile(truth, (400, 1))).sum(axis=1).mean()
    assert kept == pytest.approx(keep_probability(CLUSTERS, 2.0), abs=0.04)


def test_sign_maps_are_seen_whole(seen, rng):
    maps = KIND["sign"].make(seen, ROWS, Calls(1, 1), rng)
    back = shuffled_back(maps) > 0
    assert np.array_equal(maps, signed_maps(seen.fresh[1]["signs"][ROWS]))
    assert [pack_bits(signs) for signs in back] == [row.tobytes() for row in seen.fresh[1]["signs"][ROWS]]


def test_maps_are_mirrored_as_faces_are(rng):
    faces = rng.random((2, 3, 112, 112)).astype(np.float32)
    assert np.array_equal(mirrored(unshuffled(faces)), unshuffled(faces[..., ::-1]))


def test_what_was_not_cloaked_has_no_predecessors_payload(seen, rng):
    with pytest.raises(ValueError, match="not cloaked"):
        KIND["float x_adv - x"].make(seen, np.arange(4, 9), Calls(), rng)


def test_a_trial_keeps_enrolled_photos_out_of_what_is_tried(rng):
    names = ["a"] * 4 + ["b"] * 2 + ["alone"] + ["c"] * 3
    trial = trial_of(face_set(names, rng), trained_on=("x",), people=None, photos=2, seed=0)
    assert trial.people == 3
    assert [trial.faces.people[row] for row in trial.gallery] == ["a", "b", "c"]
    assert [trial.faces.people[row] for row in trial.probes] == ["a", "b", "c"]
    assert len(trial.all_probes) == 2 + 1 + 2
    assert not set(trial.gallery) & set(trial.all_probes)
    crops = {face.tobytes() for face in trial.faces.levels}
    assert len(crops) == len(trial.faces)
    assert [f"{'abc'[o]}" for o in trial.owner] == list(trial.faces.people)


@pytest.mark.parametrize(
    ("names", "trained_on", "message"),
    [(["a", "a", "b", "b"], ("b",), "b is among those"), (["a", "a", "b"], (), "1 people have two photos")],
)
def test_people_of_training_and_people_alone_are_refused(names, trained_on, message, rng):
    with pytest.raises(GoodnoiseError, match=message) as caught:
        trial_of(face_set(names, rng), trained_on=trained_on, people=None, photos=2, seed=0)
    assert caught.value.code == Code.PRECONDITION


def test_faces_to_learn_from_are_drawn_by_the_seed(rng):
    faces = face_set([str(i) for i in range(20)], rng)
    assert some_faces(faces, None, 0) is faces
    assert some_faces(faces, 5, 0).people == some_faces(faces, 5, 0).people
    assert len(set(some_faces(faces, 5, 0).people)) == 5
