"""Where attacks begin: what a network draws keeps the budget, differs each time, and misleads readers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")

from cloud_server.captcha.challenges.maker import Maker, load_maker  # noqa: E402
from cloud_server.captcha.challenges.oracle import Misread, StillRead  # noqa: E402
from cloud_server.captcha.challenges.recipe import Recipe  # noqa: E402
from cloud_server.captcha.challenges.render import render  # noqa: E402
from cloud_server.captcha.challenges.start import (  # noqa: E402
    drawn,
    scene_of,
    spans_of,
)
from cloud_server.captcha.challenges.types import ALPHABET, DRAWN, HEIGHT, WIDTH  # noqa: E402
from cloud_server.captcha.training.perturbing import Lesson, alike, train_perturber  # noqa: E402
from cloud_server.captcha.training.plan import Plan  # noqa: E402
from models.text.networks import TextOutput  # noqa: E402
from models.text.perturber import PERTURBER, Perturber, load_perturber  # noqa: E402
from models.text.quick import Quick  # noqa: E402
from models.text.readers import decode, load_reader, read_weights, weights_name  # noqa: E402
from shared.attack.keys import Keys  # noqa: E402
from shared.errors import Code, GoodnoiseError  # noqa: E402

pytestmark = pytest.mark.torch

RECIPE = Recipe()
TEXTS = ("ACDEHL", "MNPTVW", "XAAXDD")
KEYS = Keys(0, (0, 1, 2))


class Stop(BaseException):
    pass


def generator(seed=0):
    return np.random.default_rng(seed)


@pytest.fixture(scope="module")
def rendered():
    return [render(text, rng=generator(seed)) for seed, text in enumerate(TEXTS)]


@pytest.fixture(scope="module")
def scene(rendered):
    return scene_of(rendered, RECIPE, rng=generator(1))


@pytest.fixture(scope="module")
def network():
    return load_perturber(ALPHABET)


def test_columns_belong_to_the_character_that_stands_there(rendered):
    spans = spans_of(rendered)
    assert spans.shape == (3, 6, WIDTH // 2)
    for item, rows in zip(rendered, spans.numpy(), strict=True):
        for letter, row in zip(item.letters, rows, strict=True):
            inked = np.flatnonzero(letter.max(axis=0) > 0.5) // 2
            assert row[inked].all()
            assert row.sum() <= len(set(inked)) + 12


def test_a_scene_says_what_is_shown_and_what_shall_be_read(scene, rendered):
    assert decode(TextOutput(slots=torch.nn.functional.one_hot(scene.labels)), ALPHABET) == list(TEXTS)
    assert (scene.labels != scene.targets).all()
    clean = np.stack([item.image for item in rendered])[:, None]
    darker = clean - scene.dark.numpy()
    ink = scene.ink.numpy()
    np.testing.assert_allclose(darker[ink == 1], RECIPE.darker / 255, atol=1e-6)
    assert not darker[ink == 0].any()


def test_what_is_drawn_keeps_the_budget(network, scene):
    with torch.no_grad():
        change = drawn(network, scene, levels=RECIPE.levels, rng=generator())
    assert change.shape == (3, 1, HEIGHT, WIDTH)
    assert (change.abs() <= scene.share * RECIPE.levels / 255 + 1e-7).all()
    # Nor is the budget wasted.
    assert change.abs().mean() > 0.4 * RECIPE.levels / 255


def test_what_is_drawn_depends_on_the_noise_and_on_nothing_else_random(network, scene):
    with torch.no_grad():
        first, again, other = (
            drawn(network, scene, levels=RECIPE.levels, rng=generator(seed)) for seed in (0, 0, 1)
        )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("name", ["columns", "attention"])
def test_readers_misread_what_is_drawn_and_not_as_much_noise(network, name):
    rng = generator(3)
    texts = ["".join(rng.choice(list(DRAWN), 6)) for _ in range(16)]
    scene = scene_of([render(text, rng=rng) for text in texts], RECIPE, rng=rng)
    with torch.no_grad():
        change = drawn(network, scene, levels=RECIPE.levels, rng=rng)
    signs = torch.from_numpy(rng.choice([-1.0, 1.0], tuple(change.shape)).astype(np.float32))
    reader = load_reader(name, ALPHABET)

    def share_read(images):
        with torch.no_grad():
            return np.mean([a == b for a, b in zip(decode(reader(images), ALPHABET), texts, strict=True)])

    assert share_read((scene.dark + change).clamp(0, 1)) <= 0.1
    assert share_read((scene.dark + change.abs() * signs).clamp(0, 1)) >= 0.4


def test_images_do_not_share_one_pattern(network):
    rng = generator(4)
    scene = scene_of(
        [render("".join(rng.choice(list(DRAWN), 6)), rng=rng) for _ in range(8)], RECIPE, rng=rng
    )
    with torch.no_grad():
        change = drawn(network, scene, levels=RECIPE.levels, rng=rng)
    assert alike(change) < 0.15
    assert alike(change[:1].expand(8, -1, -1, -1)) == pytest.approx(1.0, abs=1e-5)
    assert alike(change[:1]) == 0


def test_a_maker_begins_where_its_recipe_says(network):
    recipe = Recipe(readers=(("columns", 1.0),), misled=(), witnesses=())
    readers = [load_reader("columns", ALPHABET)]
    with pytest.raises(ValueError, match="wants a perturbing network"):
        Maker(recipe, readers)
    alone = Maker(replace(recipe, start=False), readers)
    started = Maker(recipe, readers, perturber=network)
    assert alone.version != started.version
    assert not np.array_equal(alone.make(1, seed=2)[0].attacked, started.make(1, seed=2)[0].attacked)


def test_a_folder_may_have_a_perturber_of_its_own(tmp_path):
    recipe = Recipe(readers=(("columns", 1.0),), misled=())
    (tmp_path / weights_name("columns")).write_bytes(read_weights("columns"))
    plain = load_maker(recipe).version
    assert load_maker(recipe, readers=tmp_path).version == plain
    (tmp_path / weights_name(PERTURBER)).write_bytes(b"none")
    with pytest.raises(GoodnoiseError, match=r"text-perturber\.npz") as caught:
        load_maker(recipe, readers=tmp_path)
    assert caught.value.code is Code.CORRUPT


def test_the_slope_of_being_read_falls_to_nothing_where_a_text_is_read(rendered):
    reader = load_reader("attention", ALPHABET)
    scene = scene_of(rendered, RECIPE, rng=generator())
    clean = torch.from_numpy(np.stack([item.image for item in rendered])[:, None])
    read = StillRead(reader, scene.labels)(clean, KEYS)
    assert not read.loss.any()
    assert not read.gradient.any()
    wrong = StillRead(reader, scene.targets)(clean, KEYS)
    assert (wrong.loss > 1).all()
    nearer = StillRead(reader, scene.targets)((clean - 2e-3 * wrong.gradient.sign()).clamp(0, 1), KEYS)
    assert (nearer.loss < wrong.loss).all()


def test_quick_networks_answer_in_float32_what_the_others_do(scene, network):
    reader = load_reader("columns", ALPHABET)
    with torch.no_grad():
        plain, fast = reader(scene.dark), Quick(reader)(scene.dark)
        change = [drawn(n, scene, levels=24, rng=generator()) for n in (network, Quick(network))]
    assert fast.columns.dtype == torch.float32
    assert fast.slots is None
    assert (fast.columns.exp() - plain.columns.exp()).abs().max() < 0.15
    assert (change[0] - change[1]).abs().mean() < 1 / 255
    slopes = [
        Misread(n, scene.labels, scene.targets)(scene.dark, KEYS).gradient for n in (reader, Quick(reader))
    ]
    cosine = torch.nn.functional.cosine_similarity(*(slope.flatten(1) for slope in slopes))
    assert (cosine > 0.95).all()


PLAN = Plan(batch=4, rate=3e-3, keep_every=2, seed=1)


@pytest.fixture(scope="module")
def lesson():
    """Small readers alone: those of the zoo cost too much here."""
    own = tuple(load_reader(name, ALPHABET) for name in ("columns", "attention", "attention-h1"))
    return Lesson(RECIPE, large=own[:1], small=own[1:2], hardened=own[2:], size=PLAN.batch)


def test_an_interrupted_perturber_ends_in_the_same_weights(lesson, tmp_path):
    def stop(done, _):
        if done == 2:
            raise Stop

    whole = train_perturber(tmp_path / "whole", PLAN, lesson, steps=4, on_update=lambda *_: None)
    with pytest.raises(Stop):
        train_perturber(tmp_path / "parts", PLAN, lesson, steps=4, on_update=stop)
    assert not (tmp_path / "parts" / weights_name(PERTURBER)).exists()
    again = []
    parts = train_perturber(tmp_path / "parts", PLAN, lesson, steps=4, on_update=lambda n, _: again.append(n))
    assert again == [3, 4]
    assert parts == whole
    assert load_perturber(ALPHABET, tmp_path / "parts") is not None
    assert not list((tmp_path / "parts" / "work").glob("*.checkpoint"))


def test_a_perturber_learns(lesson, tmp_path):
    left = []
    train_perturber(tmp_path, PLAN, lesson, steps=60, on_update=lambda _, loss: left.append(loss))
    assert np.mean(left[-10:]) < 0.97 * np.mean(left[:10])
    # It learnt from the readers, not to draw anything large: an untrained one leaves them as they were.
    assert np.mean(left[:10]) > 1.4


def test_a_new_perturber_depends_on_torch_alone_for_its_weights():
    with torch.random.fork_rng():
        torch.manual_seed(3)
        one = Perturber(len(ALPHABET)).state_dict()
        torch.manual_seed(3)
        other = Perturber(len(ALPHABET)).state_dict()
    assert all(torch.equal(one[key], other[key]) for key in one)
