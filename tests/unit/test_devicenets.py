"""Loading what a bundle holds: damaged parts are named, with the way out."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from edge_client.devicenets import _universal
from edge_client.recognisers import load_recogniser
from shared.bundle import Hint
from shared.errors import Code, GoodnoiseError

HINT = Hint("everyone", "universal", "hints/everyone", "arcface112", "noise")


def npy(array, **options):
    buffer = io.BytesIO()
    np.save(buffer, array, **options)
    return buffer.getvalue()


def graph(*, embedding=4, inputs=("face",), outputs=("embedding",), factor=1.0):
    """A network of stand-ins: the mean colour, `embedding` times, under the names given."""
    weight = np.full((embedding, 3, 1, 1), factor, np.float32)
    nodes = [
        helper.make_node("GlobalAveragePool", ["face"], ["mean"]),
        helper.make_node("Conv", ["mean", "w"], ["c"]),
        helper.make_node("Flatten", ["c"], ["embedding"]),
    ]
    shapes = {"face": ["N", 3, 112, 112], "anchors": ["N", "K", embedding], "weights": ["N", "K"]}
    made = {
        "embedding": ["N", embedding],
        "loss": ["N"],
        "gradient": ["N", 3, 112, 112],
        "c": ["N", embedding, 1, 1],
    }
    for name in outputs:
        if name == "gradient":
            nodes.append(helper.make_node("Identity", ["face"], ["gradient"]))
        if name == "loss":
            nodes.append(helper.make_node("ReduceSum", ["embedding"], ["loss"], keepdims=0, axes=[1]))
    body = helper.make_graph(
        nodes,
        "stand-in",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shapes[name]) for name in inputs],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, made[name]) for name in outputs],
        [numpy_helper.from_array(weight, "w")],
    )
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", 11)], ir_version=8)
    return model.SerializeToString()


@pytest.fixture
def member(make_bundle):
    manifest, _ = make_bundle(checker=b"")
    return next(m for m in manifest.members if m.role == "checker")


def test_a_graph_that_fits_its_card_embeds(member):
    recogniser = load_recogniser(member, graph(), threads=1)
    found = recogniser.embed(np.full((2, 3, 112, 112), 0.5, np.float32))
    np.testing.assert_allclose(found, np.full((2, 4), 1.5), rtol=1e-5)


def test_a_surrogate_takes_anchors_and_gives_gradients(member):
    surrogate = replace(member, role="surrogate")
    content = graph(inputs=("face", "anchors", "weights"), outputs=("loss", "gradient", "embedding"))
    assert load_recogniser(surrogate, content, threads=1).role == "surrogate"


@pytest.mark.parametrize("content", [b"", b"garbage", b"\x08\x07" * 999, graph()[:-60]])
def test_garbage_is_a_damaged_bundle(member, content):
    with pytest.raises(GoodnoiseError, match=f"graph of {member.card.name} .*goodnoise update") as caught:
        load_recogniser(member, content)
    assert caught.value.code is Code.CORRUPT


@pytest.mark.parametrize(
    ("role", "content"),
    [
        ("surrogate", graph()),
        ("checker", graph(embedding=5)),
        ("checker", graph(outputs=("c",))),
        ("checker", graph(outputs=("embedding", "c"))),
    ],
)
def test_a_graph_of_another_kind_is_refused_before_the_first_photo(member, role, content):
    with pytest.raises(GoodnoiseError, match="which is no") as caught:
        load_recogniser(replace(member, role=role), content)
    assert caught.value.code is Code.CORRUPT


def test_a_card_without_a_threshold_says_so(member):
    with pytest.raises(GoodnoiseError, match="states no threshold") as caught:
        _ = load_recogniser(member, graph(), threads=1).threshold
    assert caught.value.code is Code.CORRUPT


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_more_alike_is_a_larger_number(member, metric):
    recogniser = load_recogniser(
        replace(member, card=replace(member.card, metric=metric)), graph(), threads=1
    )
    own = np.array([[1, 0, 0, 0]], np.float32)
    others = np.array([[1, 0, 0, 0], [0.8, 0.6, 0, 0], [0, 1, 0, 0], [-1, 0, 0, 0]], np.float32)
    found = recogniser.similarity(own, others)[0]
    assert list(found) == sorted(found, reverse=True)
    assert found[0] == pytest.approx(1.0 if metric == "cosine" else 0.0)
    assert np.isfinite(recogniser.similarity(np.zeros((1, 4), np.float32), others)).all()


def test_a_universal_perturbation_is_levels_over_255():
    levels = np.random.default_rng(1).integers(-8, 9, (3, 112, 112)).astype(np.int8)
    np.testing.assert_allclose(_universal(npy(levels), HINT) * 255, levels, atol=1e-4)


@pytest.mark.parametrize(
    ("content", "frame"),
    [
        (b"", "arcface112"),
        (b"garbage", "arcface112"),
        (npy(np.zeros((3, 112, 112), np.int8))[:-9], "arcface112"),
        (npy(np.zeros((3, 112, 112), np.float32)), "arcface112"),
        (npy(np.zeros((3, 100, 112), np.int8)), "arcface112"),
        (npy(np.array([{"a": 1}], object), allow_pickle=True), "arcface112"),
        (b"PK\x03\x04" + bytes(100), "arcface112"),
        (b"\x93NUMPY\x01\x00\x10\x00" + b"{'descr': ((((((" + bytes(9), "arcface112"),
        (npy(np.zeros((3, 112, 112), np.int8)).replace(b"(3, 112, 112)", b"(9999999999,)"), "arcface112"),
        (npy(np.zeros((3, 112, 112), np.int8)), "dlib150"),
    ],
)
def test_a_damaged_hint_is_named_with_the_way_out(content, frame):
    with pytest.raises(GoodnoiseError, match=r"hint everyone .*goodnoise update") as caught:
        _universal(content, replace(HINT, frame=frame))
    assert caught.value.code is Code.CORRUPT


def test_a_student_is_attacked_and_not_asked(zoo, tmp_path):

    from cloud_server.bundles.build import Order, assemble
    from edge_client.devicenets import DeviceNets
    from edge_client.recognisers import load_recogniser

    made = assemble(
        Order(
            profile="phone",
            accepted_licences=("mobilefacenet-192", "sface-student", "mobilefacenet-512"),
            surrogates=("mobilefacenet-192", "sface-student"),
            checkers=(),
            hints=(),
        )
    )
    members = made.manifest.with_role("surrogate")
    loaded = tuple(load_recogniser(m, made.objects[m.object_name], threads=1) for m in members)
    nets = DeviceNets("1", "phone", None, loaded, (), np.zeros((0, 3, 112, 112), np.float32))
    assert [r.name for r in nets.recognisers] == ["mobilefacenet-192", "sface-student"]
    assert [r.name for r in nets.asked] == ["mobilefacenet-192"]
    # With nobody else, the student is better than no check.
    assert replace(nets, surrogates=loaded[1:]).asked == loaded[1:]
