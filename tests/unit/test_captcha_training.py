"""Training readers: it learns, an interruption changes nothing, hardening hardens, and the files load."""

from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
import pytest
from typer.testing import CliRunner

torch = pytest.importorskip("torch", reason="needs the train extra")

from cloud_server.captcha.challenges.maker import load_maker  # noqa: E402
from cloud_server.captcha.challenges.recipe import Recipe  # noqa: E402
from cloud_server.captcha.challenges.render import render  # noqa: E402
from cloud_server.captcha.challenges.types import ALPHABET, WIDTH  # noqa: E402
from cloud_server.captcha.report.harvest import Readable  # noqa: E402
from cloud_server.captcha.training import perturbing  # noqa: E402
from cloud_server.captcha.training import run as running  # noqa: E402
from cloud_server.captcha.training.perturbing import Lesson  # noqa: E402
from cloud_server.captcha.training.plan import Plan, Stage, tasks  # noqa: E402
from cloud_server.captcha.training.run import train_readers  # noqa: E402
from cloud_server.captcha.training.samples import STRIPES, make_samples, stripes  # noqa: E402
from cloud_server.captcha.training.sources import Attacked, Batch, Issued, Rendered, attacked  # noqa: E402
from cloud_server.captcha.training.trainer import Trainer, begin, learning_loss, share_read  # noqa: E402
from cloud_server.cli import app  # noqa: E402
from cloud_server.exits import Exit  # noqa: E402
from models.text.networks import ARCHITECTURES, SLOTS  # noqa: E402
from models.text.perturber import PERTURBER, load_perturber  # noqa: E402
from models.text.readers import (  # noqa: E402
    READERS,
    Reader,
    load_reader,
    pack_weights,
    reading_loss,
    unpack_weights,
    weights_name,
)
from shared.errors import Code, GoodnoiseError  # noqa: E402

pytestmark = pytest.mark.torch

TINY = Plan(steps=4, batch=4, images=6, held_out=2, keep_every=2, seed=3)
# The table's kinds, small: a plain one, both hardened rounds, one that adapts.
ROWS = tuple(Reader(name, "columns", 0.25, name != "columns") for name in ("columns", "h1", "h2", "h3"))


class Stop(BaseException):
    pass


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def small_table(monkeypatch):
    """The same table of narrow readers wherever it is looked up."""
    monkeypatch.setattr(running, "tasks", lambda: tasks(ROWS))
    for row in ROWS:
        monkeypatch.setitem(READERS, row.name, row)


def nothing(*_):
    pass


def generator(seed=0):
    return np.random.default_rng(seed)


def trainer(path, plan=TINY, *, reader=ROWS[0], network=None, steps=4):
    network = network or begin(reader, seed=plan.seed)
    return Trainer(reader, network, plan, steps=steps, path=path, key="test")


def same(some, others):
    return all(torch.equal(some[key], others[key]) for key in some)


def test_stripes_tell_where_characters_stand():
    letters = render("ACDEFH", rng=generator()).letters
    parts = stripes(letters)
    assert parts.shape == (STRIPES,)
    for place, letter in enumerate(letters):
        stood_in = np.flatnonzero(parts == place) * WIDTH // STRIPES
        middle = (letter.sum(axis=0) * np.arange(WIDTH)).sum() / letter.sum()
        assert stood_in.min() <= middle <= stood_in.max() + WIDTH // STRIPES
    blank = letters.sum(axis=(0, 1)).reshape(STRIPES, -1).sum(axis=1) == 0
    assert (parts[blank] == SLOTS).all()


def test_every_reader_begins_as_the_one_of_the_round_before():
    done = set()
    for task in tasks():
        assert task.before is None or task.before.name in done
        assert (task.before is None) == (task.stage is Stage.PLAIN)
        assert task.before is None or task.before.architecture == task.reader.architecture
        done.add(task.reader.name)
    assert done == set(READERS)
    assert [task.stage for task in tasks(ROWS)] == ["plain", "hardened", "hardened", "adapted"]


def test_a_hardened_reader_needs_a_plain_one():
    with pytest.raises(ValueError, match="h1"):
        tasks(ROWS[1:])


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_loss_falls(architecture, tmp_path):
    samples = make_samples(8, rng=generator())
    batch = Batch(samples.images, samples.labels, samples.parts)

    class Fixed:
        def batch(self, network, size, rng):
            return batch

    losses = []
    plan = Plan(rate=5e-3, seed=1)
    learner = trainer(tmp_path / "kept", plan, reader=Reader("small", architecture, 0.25), steps=40)
    learner.train(Fixed(), lambda _, loss: losses.append(loss))
    assert learner.done == len(losses) == 40
    assert losses[-1] < 0.75 * losses[0]


def test_parts_that_are_right_cost_least():
    samples = make_samples(4, rng=generator(), lengths=(6,))
    for name in ("columns", "segments"):
        output = load_reader(name, ALPHABET)(samples.images)
        untold = learning_loss(output, Batch(samples.images, samples.labels))
        told = learning_loss(output, Batch(samples.images, samples.labels, samples.parts))
        wrong = learning_loss(output, Batch(samples.images, samples.labels, samples.parts.flip(1)))
        assert torch.equal(untold, reading_loss(output, samples.labels))
        assert (untold < told).all()
        assert (told < wrong).all()


@pytest.mark.parametrize("source", [Rendered((5, 6)), Attacked((5, 6), Recipe())], ids=["plain", "hardened"])
def test_an_interruption_changes_nothing(source, tmp_path):
    def stop(done, _):
        if done == 2:
            raise Stop

    whole = trainer(tmp_path / "whole").train(source, nothing)
    with pytest.raises(Stop):
        trainer(tmp_path / "kept").train(source, stop)
    resumed = trainer(tmp_path / "kept")
    assert resumed.done == 2
    assert same(whole.state_dict(), resumed.train(source, nothing).state_dict())
    assert trainer(tmp_path / "kept", Plan(steps=4, batch=4, seed=4)).done == 0


def test_hardening_hardens(tmp_path):
    """A reader of the package learns in a few updates what its own attack had taken from it."""
    row = READERS["columns"]
    network = begin(row, seed=0)
    unpack_weights(network, pack_weights_of("columns"), ALPHABET, source="columns")
    samples = make_samples(16, rng=generator(9), lengths=(6,))

    def loss_attacked():
        found = attacked(network, samples, Recipe(), share=1.0, rng=generator(1))
        with torch.no_grad():
            return float(reading_loss(network.eval()(found), samples.labels).mean())

    before = loss_attacked()
    plan = Plan(batch=12, images=2, held_out=1, rate=3e-3)
    learner = trainer(tmp_path / "kept", plan, reader=row, network=network, steps=15)
    learner.train(Attacked((6,), Recipe()), nothing)
    assert loss_attacked() < 0.6 * before


def pack_weights_of(name):
    from importlib.resources import files

    return (files("models") / "weights" / weights_name(name)).read_bytes()


def test_inner_attacks_keep_the_budget_and_mislead():
    network = load_reader("columns", ALPHABET)
    samples = make_samples(8, rng=generator(2), lengths=(6,))
    recipe = Recipe()
    found = attacked(network, samples, recipe, share=1.0, rng=generator())
    moved = 255 * (found - samples.images).abs()
    assert float(moved.max()) <= recipe.levels + recipe.darker + 1e-3
    assert found.min() >= 0
    assert found.max() <= 1
    clean = share_read(network, Batch(samples.images, samples.labels))
    assert clean > 0.7
    assert share_read(network, Batch(found, samples.labels)) < 0.3


def test_issued_images_stay_with_their_texts():
    texts = ("ACDEFH", "JKLMNP")
    images = np.stack([np.rint(255 * render(text, rng=generator()).image) for text in texts]).astype(np.uint8)
    source = Issued(Readable(images, texts))
    network = load_reader("columns", ALPHABET)
    assert share_read(network, source.all()) == 1.0
    batch = source.batch(network, 16, generator(5))
    assert len(batch.labels) == 16
    assert share_read(network, batch) > 0.4


def test_all_stages_end_in_files_that_load(small_table, tmp_path):
    figures = train_readers(tmp_path, TINY, stages=tuple(Stage), report=nothing)
    assert list(figures) == [row.name for row in ROWS]
    assert json.loads((tmp_path / "readers.json").read_bytes()) == figures
    assert set(figures["h2"]["held_out"]) == {"rendered", "attacked_itself"}
    assert set(figures["h3"]["held_out"]) == {"rendered", "attacked_itself", "issued"}
    images = make_samples(1, rng=generator()).images
    outputs = [load_reader(row.name, ALPHABET, tmp_path)(images).columns for row in ROWS]
    assert all(not torch.equal(one, other) for one, other in pairwise(outputs))
    assert not list((tmp_path / "work").glob("*.checkpoint"))

    notes = []
    again = train_readers(tmp_path, TINY, stages=tuple(Stage), report=lambda *about: notes.append(about))
    assert again == figures
    assert {note[-1] for note in notes} == {"finished before"}


def test_an_interrupted_folder_ends_in_the_same_files(small_table, tmp_path):
    def stop(what, done, *_):
        if (what, done) == ("h2", 2):
            raise Stop

    stages = (Stage.PLAIN, Stage.HARDENED)
    train_readers(tmp_path / "whole", TINY, stages=stages, report=nothing)
    with pytest.raises(Stop):
        train_readers(tmp_path / "parts", TINY, stages=stages, report=stop)
    assert not (tmp_path / "parts" / weights_name("h2")).exists()
    train_readers(tmp_path / "parts", TINY, stages=stages, report=nothing)
    for name in ("readers.json", *map(weights_name, ("columns", "h1", "h2"))):
        assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


def test_makers_of_other_readers_make_other_images(small_table, tmp_path):
    train_readers(tmp_path, TINY, stages=[Stage.PLAIN], report=nothing)
    recipe = Recipe(readers=(("columns", 1.0),))
    maker = load_maker(recipe, readers=tmp_path)
    whole = pack_weights(begin(ROWS[0], seed=8), ALPHABET)
    (tmp_path / weights_name("columns")).write_bytes(whole)
    other = load_maker(recipe, readers=tmp_path)
    assert maker.version != other.version
    assert not np.array_equal(maker.make(1, seed=1)[0].attacked, other.make(1, seed=1)[0].attacked)


def test_a_folder_without_a_reader_names_the_way_out(tmp_path):
    with pytest.raises(GoodnoiseError, match="captcha train") as missing:
        load_reader("columns", ALPHABET, tmp_path)
    assert missing.value.code is Code.NOT_FOUND
    (tmp_path / weights_name("columns")).write_bytes(b"none")
    with pytest.raises(GoodnoiseError, match=r"text-columns\.npz") as bad:
        load_reader("columns", ALPHABET, tmp_path)
    assert bad.value.code is Code.CORRUPT


@pytest.fixture
def command(tmp_path):
    def run_one(*arguments):
        return CliRunner().invoke(app, ["captcha", "train", "--out", str(tmp_path), *arguments])

    return run_one


def test_the_command_trains_and_tells(small_table, command, tmp_path):
    options = ("--steps", "1", "--batch", "2", "--held-out", "2", "--images", "4")
    done = command("--stage", "plain", *options)
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout) == json.loads((tmp_path / "readers.json").read_bytes())
    assert set(json.loads(done.stdout)) == {"columns"}
    late = command("--stage", "adapted", *options)
    assert late.exit_code == Exit.BAD_INPUT
    assert weights_name("h2") in late.stderr.replace("\n", "")


def test_the_command_trains_the_perturber_last(small_table, command, tmp_path, monkeypatch):
    asked = []

    def lesson(plan, readers=None):
        asked.append((plan.batch, readers))
        own = tuple(load_reader(name, ALPHABET) for name in ("attention", "segments"))
        return Lesson(Recipe(), large=own[:1], small=own[1:], hardened=own[:1], size=plan.batch)

    monkeypatch.setattr(perturbing, "load_lesson", lesson)
    alone = command("--stage", "perturber", "--steps", "2", "--batch", "2")
    assert alone.exit_code == 0, alone.stderr
    found = json.loads(alone.stdout)[PERTURBER]
    assert found == json.loads((tmp_path / "perturber.json").read_bytes())
    assert (found["steps"], asked) == (2, [(2, None)])
    assert load_perturber(ALPHABET, tmp_path)
    rest = command("--steps", "1", "--held-out", "2", "--images", "4")
    assert rest.exit_code == 0, rest.stderr
    assert list(json.loads(rest.stdout))[-1] == PERTURBER
    assert asked[1:] == [(perturbing.PERTURBER_BATCH, tmp_path)]


def test_the_command_refuses_more_held_out_than_there_is(command):
    done = command("--images", "10", "--held-out", "10")
    assert (done.exit_code, "--held-out" in done.stderr) == (Exit.BAD_INPUT, True)
