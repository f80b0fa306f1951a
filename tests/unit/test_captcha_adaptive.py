"""The adaptive solver: it learns, and an interruption changes nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from cloud_server.captcha.challenges.render import Style, draw_text, render  # noqa: E402
from cloud_server.captcha.challenges.types import ALPHABET, Made  # noqa: E402
from cloud_server.captcha.report.adaptive import plain_images, train_adaptive  # noqa: E402
from cloud_server.captcha.report.checkpoints import read_checkpoint, write_checkpoint  # noqa: E402
from cloud_server.captcha.report.harvest import Harvest  # noqa: E402
from cloud_server.captcha.report.network import vary  # noqa: E402
from cloud_server.captcha.report.training import Plan  # noqa: E402

pytestmark = pytest.mark.torch

TINY = Plan(
    sizes=(16, 24), plain=16, plain_epochs=2, least_epochs=2, most_epochs=2, batch=8, lengths=(3,), seed=5
)


class NoisyText:
    """Makes images with noise in place of an attack; the gate holds every fifth back."""

    recipe, version = "noisy text", "1"

    def __init__(self) -> None:
        self.calls = 0

    def make(self, count: int, *, seed: int) -> list[Made]:
        self.calls += 1
        rng = np.random.default_rng(seed)
        return [self._one(rng, passed=number % 5 > 0) for number in range(count)]

    def _one(self, rng, *, passed):
        rendered = render(draw_text(rng, lengths=(3,)), rng=rng)
        noisy = 255 * rendered.image + rng.normal(0, 5, rendered.image.shape)
        return Made(rendered, np.clip(noisy, 0, 255).astype(np.uint8), passed)


def _harvest(folder: Path) -> Harvest:
    return Harvest(NoisyText(), folder, seed=1, shard=10)


def _train(folder: Path, plan: Plan = TINY, progress=lambda *_: None):
    return train_adaptive(_harvest(folder), plan, style=Style(), progress=progress)


def test_images_made_against_other_readers_are_others(tmp_path: Path) -> None:
    one, other = NoisyText(), NoisyText()
    other.version = "2"
    keys = {Harvest(maker, tmp_path, 0).key for maker in (one, other, NoisyText())}
    assert len(keys) == 2


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that nobody interrupted."""
    return _train(tmp_path_factory.mktemp("whole"))


def _same(a, b):
    pairs = zip(a.network.state_dict().values(), b.network.state_dict().values(), strict=True)
    return all(torch.equal(x, y) for x, y in pairs)


def test_the_curve_has_a_point_and_a_solver_for_each_size(whole):
    assert [point.images for point, _ in whole] == [16, 24]
    first, last = (solver for _, solver in whole)
    assert not _same(first, last)
    assert first.version.startswith("16 images")
    assert not first.seen
    assert 0 < whole[0][0].seconds < whole[1][0].seconds
    image = np.full((64, 256), 200, np.uint8)
    readings = last.read([image] * 3)
    assert [len(text) for text in readings] == [3, 3, 3]
    assert set("".join(readings)) <= set(ALPHABET)
    assert last.read([np.full((128, 512), 200, np.uint8)]) == readings[:1]
    assert last.read([]) == []


@pytest.mark.parametrize("epoch", [1, 5])
def test_an_interrupted_training_ends_as_if_it_had_not_been(whole, tmp_path, epoch):
    ended: list[str] = []

    def interrupt(name: str, done: int, _total: int) -> None:
        if name.startswith("adaptive"):
            ended.append(f"{name} {done}")
            if len(ended) == epoch:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _train(tmp_path, progress=interrupt)
    again: list[str] = []
    found = _train(tmp_path, progress=lambda name, done, _: again.append(f"{name} {done}"))
    assert all(_same(a, b) for (_, a), (_, b) in zip(found, whole, strict=True))
    assert not set(ended) & set(again)


def test_a_longer_curve_goes_on_from_a_shorter_one(whole, tmp_path):
    short = Plan(**{**TINY.__dict__, "sizes": (16,)})
    ((_, before),) = _train(tmp_path, short)
    names: list[str] = []
    found = _train(tmp_path, progress=lambda name, *_: names.append(name))
    assert _same(found[0][1], before)
    assert _same(found[1][1], whole[1][1])
    assert not any("plain" in name or "16 images" in name for name in names)
    assert len(_train(tmp_path, short)) == 1


def test_other_settings_begin_anew(tmp_path, whole):
    _train(tmp_path, Plan(**{**TINY.__dict__, "rate": 1e-3, "sizes": (16,)}))
    found = _train(tmp_path)
    assert _same(found[1][1], whole[1][1])


def test_training_lowers_the_loss_on_held_out_images(tmp_path):
    plan = Plan(sizes=(40,), plain=24, plain_epochs=1, most_epochs=8, batch=8, lengths=(3,), patience=8)
    ((point, _),) = _train(tmp_path, plan)
    short = Plan(**{**plan.__dict__, "most_epochs": 1, "least_epochs": 1})
    ((before, _),) = _train(tmp_path / "short", short)
    assert point.loss < 0.9 * before.loss


def test_sizes_must_rise(tmp_path):
    with pytest.raises(ValueError, match="rising"):
        _train(tmp_path, Plan(sizes=(40, 24)))


def test_a_harvest_makes_no_image_twice_and_none_that_the_gate_held_back(tmp_path):
    maker = NoisyText()
    harvest = Harvest(maker, tmp_path, seed=1, shard=10)
    few = harvest.first(12, lambda *_: None)
    assert (len(few), maker.calls) == (12, 2)
    more = harvest.first(20, lambda *_: None)
    assert maker.calls == 3
    assert more.texts[:12] == few.texts
    assert np.array_equal(more.images[:12], few.images)
    assert len(set(more.texts)) > 15
    other = Harvest(maker, tmp_path, seed=2, shard=10).first(12, lambda *_: None)
    assert other.texts != few.texts


def test_a_checkpoint_of_another_training_or_a_broken_one_is_passed_over(tmp_path):
    path = tmp_path / "a.pt"
    assert read_checkpoint(path, "key") is None
    write_checkpoint(path, "key", {"x": torch.ones(2), "n": 3})
    found = read_checkpoint(path, "key")
    assert found is not None
    assert found["n"] == 3
    assert torch.equal(found["x"], torch.ones(2))
    assert read_checkpoint(path, "other") is None
    path.write_bytes(path.read_bytes()[:100])
    assert read_checkpoint(path, "key") is None


def test_variation_is_seeded_and_keeps_what_is_written(rng):
    plain = plain_images(1, style=Style(), lengths=(3,), seed=3)
    first, second = (vary(plain.images[0], rng=np.random.default_rng(8)) for _ in range(2))
    assert np.array_equal(first, second)
    many = [vary(plain.images[0], rng=rng) for _ in range(20)]
    assert all(image.shape == (64, 256) and image.dtype == np.uint8 for image in many)
    correlation = [np.corrcoef(image.ravel(), plain.images[0].ravel())[0, 1] for image in many]
    assert min(correlation) < 0.95
    assert max(correlation) > 0.5
