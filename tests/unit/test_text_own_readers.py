"""The project's own readers of text: loss, answers, weights, and that each image is read on its own."""

from __future__ import annotations

import io
import itertools
import math

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")

from cloud_server.captcha.challenges.oracle import Misread, other_texts  # noqa: E402
from cloud_server.captcha.challenges.render import draw_text, render  # noqa: E402
from cloud_server.captcha.challenges.types import ALPHABET  # noqa: E402
from models.text.networks import ARCHITECTURES, SLOTS, TextOutput, build  # noqa: E402
from models.text.readers import (  # noqa: E402
    READERS,
    decode,
    encode,
    fold,
    load_reader,
    pack_weights,
    reading_loss,
    unpack_weights,
)
from shared.attack.keys import Keys  # noqa: E402
from shared.errors import Code, GoodnoiseError  # noqa: E402

pytestmark = pytest.mark.torch

ONE_OF_EACH = ("columns", "attention", "segments")


@pytest.fixture(autouse=True)
def _one_core():
    torch.set_num_threads(1)


def challenges(count, seed=0):
    """Texts, and images N 1 H W, as the service has them."""
    rng = np.random.default_rng(seed)
    made = [render(draw_text(rng, lengths=(6,)), rng=rng) for _ in range(count)]
    return [item.text for item in made], torch.from_numpy(np.stack([item.image for item in made])[:, None])


def network(architecture, *, seed=0, width=0.25):
    """One that has not learnt anything, with the statistics of some images."""
    torch.manual_seed(seed)
    net = build(architecture, len(ALPHABET), width=width)
    with torch.no_grad():
        net.train()(challenges(4)[1])
    return net.eval()


def collapsed(path):
    """CTC's text of a path: repeats once, then no blanks."""
    return tuple(k for k, _ in itertools.groupby(path) if k)


@pytest.mark.parametrize("text", [(1,), (2, 1), (1, 1), (1, 2, 1), (2, 2, 2)])
def test_the_loss_counts_every_alignment(text):
    steps, classes = 5, 3
    logits = torch.from_numpy(np.random.default_rng(len(text)).normal(0, 1.5, (1, steps, classes)))
    rows = logits.log_softmax(dim=-1)
    paths = [
        path for path in itertools.product(range(classes), repeat=steps) if collapsed(path) == tuple(text)
    ]
    total = sum(math.exp(sum(float(rows[0, t, k]) for t, k in enumerate(path))) for path in paths)
    labels = torch.zeros(1, SLOTS, dtype=torch.int64)
    labels[0, : len(text)] = torch.tensor(text)
    assert len(paths) > 0
    found = reading_loss(TextOutput(columns=rows), labels)
    assert float(found) == pytest.approx(-math.log(total) / len(text), rel=1e-5)


def test_the_loss_of_slots_is_the_mean_over_all_of_them_with_the_end():
    rows = torch.from_numpy(np.random.default_rng(3).normal(0, 1, (2, SLOTS, 23))).log_softmax(dim=-1)
    labels = encode(["ACDE", "HJKLMN"], ALPHABET)
    found = reading_loss(TextOutput(slots=rows), labels)
    for image in range(2):
        expected = -np.mean([float(rows[image, k, labels[image, k]]) for k in range(SLOTS)])
        assert float(found[image]) == pytest.approx(expected, rel=1e-6)


def test_texts_become_classes_and_come_back():
    assert encode(["AC", "943"], "ACD349").tolist() == [[1, 2, 0, 0, 0, 0], [6, 5, 4, 0, 0, 0]]
    texts = [draw_text(np.random.default_rng(seed)) for seed in range(20)]
    sure = torch.nn.functional.one_hot(encode(texts, ALPHABET), len(ALPHABET) + 1).float()
    assert decode(TextOutput(slots=sure), ALPHABET) == texts


def test_a_greedy_path_is_collapsed():
    path = torch.tensor([[0, 1, 1, 0, 1, 2, 2, 0], [3, 3, 3, 3, 3, 3, 3, 3], [0, 0, 0, 0, 0, 0, 0, 0]])
    rows = torch.nn.functional.one_hot(path, 4).float()
    assert decode(TextOutput(columns=rows), "ACD") == ["AAC", "D", ""]
    with pytest.raises(ValueError, match="columns or slots"):
        decode(TextOutput(), "ACD")


@pytest.mark.parametrize("text", ["ACDEFHJ", "ACO", "a"])
def test_a_text_that_no_reader_knows_is_named(text):
    with pytest.raises(ValueError, match=repr(text)):
        encode(["ACDE", text], ALPHABET)


def test_targets_differ_from_the_text_in_every_place(rng):
    texts = [draw_text(rng) for _ in range(400)]
    labels, targets = other_texts(texts, rng=rng)
    assert torch.equal(labels, encode(texts, ALPHABET))
    places = labels > 0
    assert (labels != targets)[places].all()
    assert torch.equal(targets > 0, places)
    assert targets.max() == len(ALPHABET)
    # Every other character is a target of the same chance, not a neighbour alone.
    steps = ((targets - labels) % len(ALPHABET))[places]
    assert len(steps.unique()) == len(ALPHABET) - 1
    assert not torch.equal(targets, other_texts(texts, rng=rng)[1])


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_outputs_are_probabilities_and_each_image_is_read_alone(architecture):
    net = network(architecture)
    _, images = challenges(3, seed=9)
    with torch.no_grad():
        together = net(images)
        alone = [net(image[None]) for image in images]
    for name, found in together._asdict().items():
        if found is None:
            continue
        over = 1 if name == "parts" else -1
        np.testing.assert_allclose(found.exp().sum(dim=over).numpy(), 1, atol=1e-5)
        separate = torch.cat([getattr(output, name) for output in alone])
        np.testing.assert_allclose(found.numpy(), separate.numpy(), atol=2e-4)
    shape = (together.columns if architecture == "columns" else together.slots).shape
    assert shape == (3, 64 if architecture == "columns" else SLOTS, len(ALPHABET) + 1)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_contrast_and_lightness_do_not_matter(architecture):
    net = network(architecture).double()
    images = challenges(2)[1].double()
    with torch.no_grad():
        one, other = (
            reading_loss(net(x), encode(["ACDE"] * 2, ALPHABET)) for x in (images, images * 0.7 + 0.2)
        )
    np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=0.2)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_folding_leaves_outputs_as_they_are(architecture):
    net = network(architecture)
    _, images = challenges(2, seed=5)
    with torch.no_grad():
        before = net(images)
        folded = fold(net)
        after = folded(images)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in folded.modules())
    for found, expected in zip(after, before, strict=True):
        if expected is not None:
            np.testing.assert_allclose(found.numpy(), expected.numpy(), atol=1e-4)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_weights_are_packed_and_unpacked(architecture):
    net, other = network(architecture, seed=1), network(architecture, seed=2)
    content = pack_weights(net, ALPHABET)
    unpack_weights(other, content, ALPHABET, source="here")
    for key, value in net.state_dict().items():
        np.testing.assert_allclose(other.state_dict()[key].numpy(), value.numpy(), rtol=1e-3, atol=1e-6)
        assert other.state_dict()[key].dtype == value.dtype
    # Half the size of float32, and what comes out goes in again unchanged.
    assert len(content) < 3 * sum(value.numel() for value in net.state_dict().values())
    again = build(architecture, len(ALPHABET), width=0.25)
    unpack_weights(again, pack_weights(other, ALPHABET), ALPHABET, source="here")
    assert all(torch.equal(again.state_dict()[key], value) for key, value in other.state_dict().items())


def test_weights_of_another_alphabet_or_network_are_refused():
    net = network("columns")
    content = pack_weights(net, ALPHABET)
    with pytest.raises(GoodnoiseError, match=f"w.npz reads {ALPHABET}, expected {ALPHABET[::-1]}") as caught:
        unpack_weights(net, content, ALPHABET[::-1], source="w.npz")
    assert caught.value.code is Code.CORRUPT
    for strange in (network("attention"), build("columns", len(ALPHABET), width=1.0)):
        with pytest.raises(GoodnoiseError, match=r"w\.npz does not fit") as caught:
            unpack_weights(strange, content, ALPHABET, source="w.npz")
        assert caught.value.code is Code.CORRUPT


def _without_alphabet():
    buffer = io.BytesIO()
    np.savez(buffer, some=np.zeros(3))
    return buffer.getvalue()


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 cut off", _without_alphabet()])
def test_what_are_no_weights_is_refused(content):
    with pytest.raises(GoodnoiseError, match=r"w\.npz") as caught:
        unpack_weights(build("columns", len(ALPHABET), width=0.25), content, ALPHABET, source="w.npz")
    assert caught.value.code is Code.CORRUPT


def test_packed_weights_cannot_run_code():
    buffer = io.BytesIO()
    np.savez(buffer, alphabet=np.array(ALPHABET), head=np.array([print], dtype=object))
    with pytest.raises(GoodnoiseError) as caught:
        unpack_weights(
            build("columns", len(ALPHABET), width=0.25), buffer.getvalue(), ALPHABET, source="w.npz"
        )
    assert caught.value.code is Code.CORRUPT


def test_an_unknown_reader_is_named_with_those_that_exist():
    with pytest.raises(GoodnoiseError, match=r"'rows'.*columns, attention, segments") as caught:
        load_reader("rows", ALPHABET)
    assert caught.value.code is Code.NOT_FOUND


def test_a_trained_reader_of_another_alphabet_is_refused():
    with pytest.raises(GoodnoiseError, match=r"text-columns\.npz reads") as caught:
        load_reader("columns", ALPHABET[1:] + ALPHABET[0])
    assert caught.value.code is Code.CORRUPT


@pytest.mark.parametrize("name", READERS)
def test_every_reader_reads_what_is_not_attacked(name):
    texts, images = challenges(12, seed=77)
    net = load_reader(name, ALPHABET)
    assert not net.training
    assert not any(weight.requires_grad for weight in net.parameters())
    with torch.no_grad():
        read = decode(net(images), ALPHABET)
    right = [a == b for one, other in zip(read, texts, strict=True) for a, b in zip(one, other, strict=False)]
    assert sum(right) >= 0.8 * sum(map(len, texts))


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_the_gradient_of_misread_is_its_slope(name, rng):
    texts, images = challenges(2, seed=3)
    net, images = load_reader(name, ALPHABET).double(), images.double()
    oracle, keys = Misread(net, *other_texts(texts, rng=rng)), Keys(0, (0, 1))
    loss, gradient = oracle(images, keys)
    assert loss.shape == (2,)
    assert gradient.shape == images.shape
    assert not images.requires_grad
    assert not loss.requires_grad
    for image in range(2):
        for way in (gradient[image], gradient[image] * torch.from_numpy(rng.random((64, 256)))):
            step = torch.zeros_like(images)
            step[image] = 1e-5 * way / way.norm()
            rise = (oracle(images + step, keys).loss - oracle(images - step, keys).loss) / 2e-5
            assert float(rise[image]) == pytest.approx(
                float((gradient[image] * way).sum() / way.norm()), rel=1e-3
            )
            # The other image is another matter.
            assert float(rise[1 - image]) == pytest.approx(0, abs=1e-6)


def test_misread_is_the_difference_of_two_losses_and_of_each_image_alone(rng):
    texts, images = challenges(3, seed=4)
    net = load_reader("columns", ALPHABET)
    labels, targets = other_texts(texts, rng=rng)
    loss, gradient = Misread(net, labels, targets)(images, Keys(0, (0, 1, 2)))
    with torch.no_grad():
        output = net(images)
        expected = reading_loss(output, labels) - reading_loss(output, targets)
    np.testing.assert_allclose(loss.numpy(), expected.numpy(), rtol=1e-4, atol=1e-4)
    # Who reads it right finds the true text likelier, so there is something to ascend.
    assert (loss < 0).all()
    for i in range(3):
        alone = Misread(net, labels[i : i + 1], targets[i : i + 1])(images[i : i + 1], Keys(0, (i,)))
        np.testing.assert_allclose(alone.gradient[0].numpy(), gradient[i].numpy(), rtol=0.02, atol=1e-4)
