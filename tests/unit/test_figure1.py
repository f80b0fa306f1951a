"""Figure 1 of the paper at a tiny size: letters, distortions, proxies, the whole command."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner, Result

from cloud_server.cli import app
from cloud_server.paper.figure1.distortions import (
    fgsm,
    fgsm_once,
    gaussian,
    gaussian_sum,
    random_signs,
    rmse,
)
from cloud_server.paper.figure1.experiment import Bench, measure_all, unit_path
from cloud_server.paper.figure1.letters import Letters, cover, make_letters, to_levels, with_noise
from cloud_server.paper.figure1.networks import ColumnLstm, LetterOracle, Recogniser, build
from cloud_server.paper.figure1.proxies import Observer, stroke_contrast
from cloud_server.paper.figure1.readers import public_readers
from cloud_server.paper.figure1.settings import LETTERS, REDUCED, SIDE, Net, Protocol, Unit
from cloud_server.paper.figure1.summary import accuracy_at
from cloud_server.paper.figure1.training import trained, training_images
from cloud_server.paper.journal import Journal
from models.torch_oracle import frozen
from shared.errors import Code, GoodnoiseError

pytestmark = pytest.mark.torch

TINY = replace(REDUCED, train=4, test=5, updates=6, batch=8, levels=2, read=1)


def silent(title: str):
    from contextlib import nullcontext

    return nullcontext(lambda done, total: None)


@pytest.fixture(scope="module")
def letters() -> Letters:
    return make_letters("test", 5, seed=0)


@pytest.fixture(scope="module")
def start(letters: Letters) -> np.ndarray:
    return with_noise(letters, 0.1, seed=0).astype(np.float32) / np.float32(255)


@pytest.fixture(scope="module", params=["lstm", "cnn"])
def network(request: pytest.FixtureRequest) -> Recogniser:
    torch.manual_seed(1)
    made = build(request.param)
    frozen(made)
    return made


def test_an_image_depends_on_its_own_number_and_not_on_how_many_there_are(letters: Letters) -> None:
    fewer = make_letters("test", 2, seed=0)
    np.testing.assert_array_equal(fewer.images[2:4], letters.images[5:7])
    assert [LETTERS[i] for i in fewer.labels[:4]] == list("AABB")
    assert (make_letters("train", 2, seed=0).images != fewer.images).any()
    assert (make_letters("test", 2, seed=1).images != fewer.images).any()


def test_every_letter_is_dark_ink_inside_the_image(letters: Letters) -> None:
    for geometry, label in zip(letters.geometries, letters.labels, strict=True):
        covered = cover(geometry, int(label))
        assert covered.sum() > 15
        # What a turned, wide letter leaves at the rim is a shade at most.
        rim = np.concatenate([covered[0], covered[-1], covered[:, 0], covered[:, -1]])
        assert rim.mean() < 0.1
    assert 0.05 <= letters.images.min() <= letters.images.max() <= 0.95


def test_training_noise_has_the_deviation_of_its_kind() -> None:
    part = make_letters("train", 4, seed=0)
    changes = {}
    for noise in ("clean", "noise", "heavy"):
        images = training_images(part, Net("cnn", noise), TINY)
        changes[noise] = rmse(images, to_levels(part.images))
    assert changes["clean"].max() == 0
    # Clipping takes a little off.
    assert 0.07 < changes["noise"].mean() < 0.105
    assert np.ptp(changes["heavy"]) > 0.2


def test_fgsm_steps_have_their_length_and_raise_the_loss(
    network: Recogniser, letters: Letters, start: np.ndarray
) -> None:
    labels = torch.from_numpy(letters.labels)
    now, losses = start, []
    for level in (1, 2):
        now = fgsm(network, now, letters.labels, TINY)
        assert np.abs(now - start).max() <= 0.1 * level + 1e-6
        losses.append(network.losses(torch.from_numpy(now), labels).mean().item())
    before = network.losses(torch.from_numpy(start), labels).mean().item()
    assert before < losses[0] < losses[1]
    assert 0 <= now.min() <= now.max() <= 1


def test_one_level_of_one_direction_is_a_step_along_the_sign_of_the_gradient(
    network: Recogniser, letters: Letters, start: np.ndarray
) -> None:
    leaf = torch.from_numpy(start).clone().requires_grad_()
    network.losses(leaf, torch.from_numpy(letters.labels)).sum().backward()
    expected = start
    for _ in range(2 * TINY.additions):
        expected = np.clip(expected + np.float32(0.02) * leaf.grad.sign().numpy(), 0, 1)
    found = fgsm_once(network, start, letters.labels, TINY, level=2)
    # Where the gradient is rounding noise the sum's order decides its sign.
    assert (np.abs(found - expected) < 1e-5).mean() > 0.999


def test_the_oracle_gives_each_image_its_own_gradient(network: Recogniser, letters: Letters, start) -> None:
    both = LetterOracle(network, torch.from_numpy(letters.labels[[3, 40]]))
    one = LetterOracle(network, torch.from_numpy(letters.labels[[40]]))
    loss, gradient = both(torch.from_numpy(start[[3, 40]]), None)
    alone, own = one(torch.from_numpy(start[[40]]), None)
    torch.testing.assert_close(loss[1:], alone)
    torch.testing.assert_close(gradient[1:], own, atol=1e-6, rtol=1e-3)


def test_gaussian_noise_accumulates_and_an_image_keeps_its_own(letters: Letters) -> None:
    grey = np.full((300, 1, SIDE, SIDE), 0.5, np.float32)
    first = gaussian(grey, TINY, level=1)
    change = first - grey
    # Five additions of variance 0.01; clipping two deviations away takes a little off.
    assert change.std() == pytest.approx(np.sqrt(0.05), rel=0.04)
    second = gaussian(first, TINY, level=2) - first
    assert abs(np.corrcoef(change.ravel(), second.ravel())[0, 1]) < 0.35
    np.testing.assert_array_equal(gaussian(grey[:3], TINY, level=1), first[:3])


def test_noise_that_is_clipped_once_is_the_same_noise(start: np.ndarray) -> None:
    grey = np.full((20, 1, SIDE, SIDE), 0.5, np.float32)
    summed = gaussian_sum(gaussian_sum(grey, TINY, level=1), TINY, level=2) - grey
    assert summed.std() == pytest.approx(np.sqrt(0.1), rel=0.03)
    clipped = gaussian(grey, TINY, level=1)
    inside = (clipped > 0.2) & (clipped < 0.8)
    same = np.abs(gaussian_sum(grey, TINY, level=1) - clipped) < 1e-6
    assert same[inside].mean() > 0.95


def test_the_control_moves_every_pixel_as_far_as_fgsm_may(start: np.ndarray) -> None:
    grey = np.full_like(start, 0.5)
    one, two = (random_signs(grey, TINY, level=level) for level in (1, 2))
    np.testing.assert_allclose(np.abs(one - grey), 0.1, atol=1e-6)
    np.testing.assert_allclose(two - grey, 2 * (one - grey), atol=1e-6)
    assert abs((one > grey).mean() - 0.5) < 0.01


def test_the_lstm_answers_with_one_letter_or_none() -> None:
    class Told(ColumnLstm):
        def forward(self, images):
            return torch.nn.functional.one_hot(images[:, 0, 0].long(), 27).float()

    paths = torch.tensor([[0, 3, 3, 0], [0, 0, 0, 0], [3, 0, 3, 0], [1, 1, 1, 1], [0, 0, 4, 5]])
    images = paths[:, None, None, :].float()
    assert Told().read(images).tolist() == [2, -1, -1, 0, -1]


def test_the_observer_reads_plain_letters_and_no_pure_noise(letters: Letters, rng) -> None:
    observer = Observer.of(letters.geometries)
    plain = observer.read(to_levels(letters.images))
    # Sheared I, J and L of some fonts are alike once they are blurred.
    assert (plain == letters.labels).mean() > 0.97
    noise = rng.integers(0, 256, letters.images.shape, dtype=np.uint8)
    assert (observer.read(noise) == letters.labels).mean() < 0.15


def test_stroke_contrast_falls_as_the_letter_fades(letters: Letters, start: np.ndarray) -> None:
    covers = np.stack([cover(g, int(i)) for g, i in zip(letters.geometries, letters.labels, strict=True)])
    noise = start - letters.images
    shown = [to_levels(share * letters.images + (1 - share) * 0.5 + noise) for share in (1.0, 0.5, 0.1)]
    values = [np.median(stroke_contrast(images, covers)) for images in shown]
    assert values[0] > values[1] > values[2]


def test_training_lowers_the_loss_and_an_interrupted_one_ends_at_the_same_weights(tmp_path: Path) -> None:
    part, net = make_letters("train", 4, seed=0), Net("cnn", "noise")
    protocol = replace(TINY, updates=40, batch=64)
    whole = trained(net, protocol, part, folder=tmp_path / "whole", report=lambda step: None)

    def stop(step: int) -> None:
        if step == 17:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained(net, protocol, part, folder=tmp_path / "cut", report=stop)
    steps: list[int] = []
    rest = trained(net, protocol, part, folder=tmp_path / "cut", report=steps.append)
    assert steps[0] == 18
    for name, values in whole.state_dict().items():
        torch.testing.assert_close(rest.state_dict()[name], values, rtol=0, atol=0)
    images = torch.from_numpy(training_images(part, net, protocol)).float() / 255
    loss = whole.losses(images, torch.from_numpy(part.labels)).mean().item()
    assert loss < 0.95 * np.log(26)


def test_a_damaged_training_is_named(tmp_path: Path) -> None:
    (tmp_path / "cnn-clean.pt").write_bytes(b"not weights")
    with pytest.raises(GoodnoiseError, match=r"cnn-clean\.pt cannot be read") as caught:
        trained(Net("cnn", "clean"), TINY, make_letters("train", 1, seed=0), folder=tmp_path, report=print)
    assert caught.value.code is Code.CORRUPT


class OneUnit(Protocol):
    """A protocol of one recogniser and its FGSM."""

    @property
    def nets(self) -> tuple[Net, ...]:
        return (Net("cnn", "noise"),)

    @property
    def units(self) -> tuple[Unit, ...]:
        return (Unit("fgsm", "cnn-noise"),)


def test_interrupted_levels_go_on_and_end_at_the_same_counts(tmp_path: Path, letters: Letters) -> None:
    protocol = OneUnit(train=4, test=5, levels=3, read=1)
    torch.manual_seed(1)
    network = build("cnn")
    frozen(network)
    bench = Bench(protocol, letters, {"cnn-noise": network}, {})
    whole = Journal(tmp_path / "whole.jsonl")
    measure_all(bench, whole, tmp_path / "whole", progress=silent)

    class Stops(Journal):
        def add(self, key: str, result: object) -> None:
            if key.endswith("2"):
                raise KeyboardInterrupt
            super().add(key, result)

    with pytest.raises(KeyboardInterrupt):
        measure_all(bench, Stops(tmp_path / "cut.jsonl"), tmp_path / "cut", progress=silent)
    rest = Journal(tmp_path / "cut.jsonl")
    measure_all(bench, rest, tmp_path / "cut", progress=silent)
    unit = protocol.units[0]
    for key in ("original", *(f"{unit.name} {level}" for level in (1, 2, 3))):
        assert rest[key] == whole[key]
    kept = [np.load(unit_path(tmp_path / part, unit))["kept"] for part in ("whole", "cut")]
    np.testing.assert_array_equal(*kept)
    assert kept[0].shape == (4, 130, 1, SIDE, SIDE)


def test_accuracy_at_an_rmse_lies_on_the_line_between_two_levels() -> None:
    unit = {"rmse": [0.0, 0.1, 0.3]}
    shares = [{"value": 1.0}, {"value": 0.6}, {"value": 0.2}]
    assert accuracy_at(unit, shares, 0.05) == pytest.approx(0.8)
    assert accuracy_at(unit, shares, 0.2) == pytest.approx(0.4)
    assert accuracy_at(unit, shares, 0.4) is None


def test_public_readers_read_plain_letters_and_answer_each_image(letters: Letters) -> None:
    readers = public_readers()
    if not readers:
        pytest.skip("neither tesseract nor ddddocr is installed")
    chosen = letters.first(2)
    for reader in readers.values():
        answers = reader(to_levels(letters.images[chosen, 0]))
        right = [a == LETTERS[i] for a, i in zip(answers, letters.labels[chosen], strict=True)]
        assert np.mean(right) > 0.5


def call(*words: str | Path) -> Result:
    return CliRunner().invoke(app, ["paper", *map(str, words)])


SIZE = ("--train", "2", "--test", "3", "--updates", "3", "--levels", "1", "--no-public")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The whole command at a tiny size, with the kit of a study of two."""
    out = tmp_path_factory.mktemp("figure1")
    result = call("figure1", "--out", out, *SIZE, "--participants", "2")
    assert result.exit_code == 0, result.output
    return out


def test_the_command_writes_numbers_words_and_pictures(made: Path) -> None:
    found = json.loads((made / "figure1.json").read_text())
    units = found["summary"]["units"]
    assert len(units) == 15
    for unit in units.values():
        assert unit["rmse"][0] == 0 < unit["rmse"][1]
        for shares in unit["read"].values():
            assert all(s["low"] <= s["value"] == s["right"] / s["asked"] <= s["high"] for s in shares)
    text = (made / "figure1.md").read_text()
    assert "The paper prints no numbers" in text
    assert "not measured; proxies: observer" in text
    for name in ("figure1.png", "rmse.png"):
        assert np.asarray(Image.open(made / name).convert("L")).std() > 10


def test_a_second_run_measures_nothing_and_says_the_same(made: Path) -> None:
    journal = next((made / "work").rglob("levels-*.jsonl"))
    before = journal.stat().st_mtime_ns
    text = (made / "figure1.md").read_text()
    assert text in call("figure1", "--out", made, *SIZE).output
    assert journal.stat().st_mtime_ns == before


def test_a_kit_needs_an_image_of_a_letter_for_each_condition(tmp_path: Path) -> None:
    size = ("--train", "1", "--test", "2", "--updates", "1", "--levels", "1", "--no-public")
    result = call("figure1", "--out", tmp_path, *size, "--participants", "1")
    assert result.exit_code == 2
    assert "3 conditions" in result.output


def test_people_are_drawn_into_the_figure(made: Path, tmp_path: Path) -> None:
    key = json.loads((made / "study-key.json").read_text())
    lines = ["study,participant,trial,image,answer,milliseconds"]
    for number, (name, shown) in enumerate(key["images"].items(), start=1):
        lines.append(f"{key['study']},p001,{number},{name},{shown['letter']},900")
    answers = tmp_path / "answers.csv"
    answers.write_text("\n".join(lines) + "\n")
    options = ("--key", made / "study-key.json", "--out", tmp_path, "--results", made)
    result = call("figure1-study", answers, *options)
    assert result.exit_code == 0, result.output
    drawn, plain = ((folder / "figure1.png").read_bytes() for folder in (tmp_path, made))
    assert drawn != plain
    found = json.loads((tmp_path / "people.json").read_text())
    assert [share["value"] for share in found["curves"]["fgsm"]] == [1.0, 1.0]
    assert call("figure1-study", answers, *options[:4], "--results", tmp_path / "none").exit_code == 2
