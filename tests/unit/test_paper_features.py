"""Section 3.3 on synthetic stripes: small networks, real trainings, in seconds."""

from __future__ import annotations

import io
import json
import tarfile
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

torch = pytest.importorskip("torch", reason="needs the train extra")

from cloud_server.augment.evaluate.protocols import PROTOCOLS as EVALUATED  # noqa: E402
from cloud_server.paper.commands import app  # noqa: E402
from cloud_server.paper.features.common import images_of, trained, work_folder  # noqa: E402
from cloud_server.paper.features.figure3 import make_figure3  # noqa: E402
from cloud_server.paper.features.moving import Run, moved_part, sets_of  # noqa: E402
from cloud_server.paper.features.observation2 import make_observation2  # noqa: E402
from cloud_server.paper.features.settings import PROTOCOLS, Moving, Universal  # noqa: E402
from cloud_server.paper.features.table3 import TABLE3_ARMS, make_table3  # noqa: E402
from models.vision.training import Training  # noqa: E402
from shared.errors import GoodnoiseError  # noqa: E402

pytestmark = pytest.mark.torch

TINY = replace(
    PROTOCOLS["reduced"],
    images=180,
    network="tiny",
    training=Training(updates=50, batch=32, rate=0.1, augment="none"),
    universal=Universal(steps=25, batch=16),
    levels=(2.0, 16.0),
    held_out=40,
    moving=Moving(steps=6),
)


def stripes(rng, name, phase, count):
    """Pictures of one class: stripes of one direction under noise."""
    rows, columns = np.mgrid[:16, :16]
    wave = 128 + 9 * np.sin(1.2 * {"cat": columns, "dog": rows, "emu": rows + columns}[name])[..., None]
    return np.clip(wave + rng.normal(0, 14, (count, 16, 16, 3)), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """train.tar and test.tar of three classes."""
    root, rng = tmp_path_factory.mktemp("stripes"), np.random.default_rng(3)
    for part, count in (("train", 240), ("test", 30)):
        with tarfile.open(root / f"{part}.tar", "w") as tar:
            for name in ("cat", "dog", "emu"):
                for number, picture in enumerate(stripes(rng, name, 0, count)):
                    file = io.BytesIO()
                    Image.fromarray(picture).save(file, "PNG")
                    item = tarfile.TarInfo(f"{part}/{name}/{number:04d}.png")
                    item.size = len(file.getvalue())
                    tar.addfile(item, io.BytesIO(file.getvalue()))
    return root


def size_of(path):
    """Width and height of a picture."""
    with Image.open(path) as picture:
        return picture.size


def quiet(_title, _done, _total):
    """No bar."""


@pytest.fixture(scope="module")
def figure(data, tmp_path_factory):
    """The folder of a figure 3, and its Markdown."""
    out = tmp_path_factory.mktemp("figure3")
    return out, make_figure3(data, out, TINY, note="synthetic", report=quiet)


def test_perturbations_name_their_class_and_random_signs_do_not(figure):
    found = json.loads((figure[0] / "figure3.json").read_text())
    large, small = (np.mean(found["named_as_target_on_held_out_images"][k]) for k in ("16", "2"))
    chance = np.mean(found["the_same_for_random_signs"]["16"])
    assert found["accuracy_of_the_network"] > 0.8
    assert large > 0.6
    assert large > small
    assert chance < large / 2
    assert np.mean(found["confidence_on_blank_images"]["16"]["grey"]) > 0.7
    assert len(found["classes"]) == 3


def test_the_figure_is_a_picture_and_says_goal_and_data(figure):
    out, text = figure
    assert min(size_of(out / "figure3.png")) > 300
    assert text == (out / "figure3.md").read_text()
    assert "synthetic" in text
    assert "99 %" in text
    assert "reached" in text


def test_an_interrupted_figure_goes_on_and_ends_in_the_same_bytes(figure, data, tmp_path):
    stopped = []

    def stop(title, done, _total):
        if "perturbations of 16" in title and done == 1:
            stopped.append(title)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_figure3(data, tmp_path, TINY, note="synthetic", report=stop)
    assert stopped
    titles = []
    make_figure3(data, tmp_path, TINY, note="synthetic", report=lambda title, _d, _t: titles.append(title))
    assert not any("training" in title for title in titles)
    for name in ("figure3.json", "figure3.md", "figure3.png"):
        assert (tmp_path / name).read_bytes() == (figure[0] / name).read_bytes()


def test_networks_learn_from_perturbations_what_controls_do_not(data, tmp_path):
    text = make_observation2(data, tmp_path, TINY, note="synthetic", report=quiet)
    found = json.loads((tmp_path / "observation2.json").read_text())
    assert found["accuracy"]["f_ori"] > 0.8
    assert found["attacks_that_reached_their_target"]["f_adv"] > 0.5
    assert found["accuracy"]["f_rand"] < 0.6
    controls = {"f_noise", "f_rand", "f_any_noise", "f_any_rand"}
    assert set(found["accuracy"]) == {"f_ori", "f_same", "f_adv", "f_det", "f_any"} | controls
    for name, (least, most) in found["intervals_over_test_images"].items():
        assert least <= found["accuracy"][name] <= most
    assert "66.3%" in text
    assert size_of(tmp_path / "observation2.png")[0] > 300
    again = make_observation2(data, tmp_path, TINY, note="synthetic", report=quiet)
    assert again == text


def test_table3_has_the_controls_and_says_plainly_whether_it_helped(data, tmp_path):
    short = replace(EVALUATED["quick"], training=replace(EVALUATED["quick"].training, updates=25))
    text = make_table3(data, tmp_path, protocol=short, name="short", seeds=2, note="synthetic", report=quiet)
    assert "Protocol short: 200 images of each frequent class, 40 of each rare one" in text
    found = json.loads((tmp_path / "table3.json").read_text())
    assert set(found["accuracy_by_class"]) == set(TABLE3_ARMS)
    for name in TABLE3_ARMS:
        assert f"| {name}: " in text
    assert "beat the best control" in text or "beats the best control" in text
    # The paper's rows are of other classes.
    assert "f_imb of the paper" not in text
    assert size_of(tmp_path / "table3.png")[0] > 300


@pytest.mark.parametrize("command", ["figure3", "observation2", "table3"])
def test_data_that_are_not_there_are_named(command, tmp_path):
    done = CliRunner().invoke(
        app, [command, "--data", str(tmp_path / "none"), "--out", str(tmp_path / "out")]
    )
    assert done.exit_code == 2
    assert "needs train.tar and test.tar" in " ".join(done.output.split())


def test_two_protocols_at_once_are_refused(tmp_path):
    words = ["table3", "--data", str(tmp_path), "--out", str(tmp_path / "out"), "--full"]
    done = CliRunner().invoke(app, [*words, "--protocol", "hours"])
    assert done.exit_code == 2
    assert "--full and --protocol hours: give one" in " ".join(done.output.split())
    assert not (tmp_path / "out").exists()


def test_the_radius_of_the_command_is_that_of_the_attacks(data, tmp_path):
    words = [
        "observation2",
        "--data",
        str(data),
        "--out",
        str(tmp_path),
        "--network",
        "tiny",
        "--images",
        "60",
    ]
    short = ["--updates", "2", "--moved", "20", "--steps", "1", "--learning", "1", "--radius", "2.5"]
    done = CliRunner().invoke(app, [*words, *short])
    assert done.exit_code == 0, done.output
    found = json.loads((tmp_path / "observation2.json").read_text())
    assert found["protocol"]["moving"]["radius"] == 2.5
    assert "20 of them moved by 1 steps within L2 2.5" in (tmp_path / "observation2.md").read_text()


def test_other_settings_in_the_same_folder_do_not_take_up_old_networks(figure, data, tmp_path):
    make_figure3(data, tmp_path, TINY, note="synthetic", report=quiet)
    other = replace(TINY, seed=5)
    titles = []
    make_figure3(data, tmp_path, other, note="synthetic", report=lambda title, _d, _t: titles.append(title))
    assert any("training" in title for title in titles)
    again = json.loads((tmp_path / "figure3.json").read_text())
    first = json.loads((figure[0] / "figure3.json").read_text())
    assert again["protocol"]["seed"] == 5
    assert first["protocol"]["seed"] == 0
    # Success is the same on pictures as easy as these; the confidence is the network's own.
    assert again["confidence_on_blank_images"] != first["confidence_on_blank_images"]


def test_a_run_in_bfloat16_says_so_and_the_perturbations_still_name_their_class(data, tmp_path):
    from models.precision import check_precision

    try:
        check_precision("bfloat16")
    except GoodnoiseError:
        pytest.skip("this processor has no bfloat16")
    protocol = replace(
        TINY,
        training=replace(TINY.training, precision="bfloat16"),
        universal=replace(TINY.universal, gradients="bfloat16", halvings=2, momentum=0.9),
    )
    text = make_figure3(data, tmp_path, protocol, note="synthetic", report=quiet)
    found = json.loads((tmp_path / "figure3.json").read_text())
    assert text.count("bfloat16") == 2
    assert found["protocol"]["universal"]["gradients"] == "bfloat16"
    assert np.mean(found["named_as_target_on_held_out_images"]["16"]) > 0.6


def test_new_perturbations_of_the_same_network_do_not_train_it_again(figure, data, tmp_path):
    make_figure3(data, tmp_path, TINY, note="synthetic", report=quiet)
    other = replace(TINY, universal=replace(TINY.universal, steps=5))
    titles = []
    make_figure3(data, tmp_path, other, note="synthetic", report=lambda title, _d, _t: titles.append(title))
    assert titles
    assert not any("training" in title for title in titles)
    again, first = (json.loads((p / "figure3.json").read_text()) for p in (tmp_path, figure[0]))
    assert again["confidence_on_blank_images"] != first["confidence_on_blank_images"]


def test_fewer_images_are_moved_and_another_training_learns_from_them(data, tmp_path):
    protocol = replace(
        TINY,
        moving=Moving(images=60, steps=2),
        learning=replace(TINY.training, updates=7),
        learner="small",
    )
    updates = {}
    text = make_observation2(
        data, tmp_path, protocol, note="", report=lambda title, _d, total: updates.update({title: total})
    )
    assert updates["perturbing for d-rand"] <= 60
    assert updates["training f-ori"] == 50
    assert {total for title, total in updates.items() if "training f-any" in title} == {7}
    assert "60 of them moved by 2 steps within L2 0.5" in text
    assert "7 updates of 32 images on each set" in text
    assert "network small" in text


def test_images_and_their_control_move_as_far_as_the_radius(data, tmp_path):
    protocol = replace(TINY, moving=Moving(images=60, steps=4, radius=2.0))
    train, _ = images_of(data, tmp_path, protocol)
    work = work_folder(tmp_path, protocol, train)
    first = trained("f-ori", train.images, train.labels, train.classes, protocol, work=work, report=quiet)
    part = moved_part(train, protocol)
    made = next(sets_of(Run(protocol, work, quiet), first, part))
    for name in ("f_any", "f_any_noise"):
        moved = (made[name][0].astype(float) - part.images) / 255
        lengths = np.sqrt((moved**2).sum(axis=(1, 2, 3)))
        # Rounding to levels of 8 bits, and clipping.
        assert 1.5 < np.median(lengths) < 2.1
    assert made["f_any_rand"][0] is part.images


def test_what_is_done_is_there_when_the_rest_is_interrupted(data, tmp_path):
    def stop(title, _done, _total):
        if "f-adv" in title:
            raise KeyboardInterrupt

    short = replace(TINY, moving=Moving(steps=1), learning=replace(TINY.training, updates=2))
    with pytest.raises(KeyboardInterrupt):
        make_observation2(data, tmp_path, short, note="", report=stop)
    found = json.loads((tmp_path / "observation2.json").read_text())
    # With its controls, or not at all.
    assert set(found["accuracy"]) == {"f_ori", "f_any", "f_any_noise", "f_any_rand"}
    assert set(found["attacks_that_reached_their_target"]) == {"f_any"}
    assert "| f_adv |" not in (tmp_path / "observation2.md").read_text()


def test_the_protocol_that_was_changed_is_named_so():
    from cloud_server.paper.features.commands import ProtocolChoice, _named, _settings

    plain = _settings(ProtocolChoice.HOURS, images=None, updates=None, network=None, seed=0)
    assert _named(plain).name == "hours"
    changed = _settings(ProtocolChoice.HOURS, images=None, updates=3, network=None, seed=0)
    assert _named(changed).name == "hours-changed"
    assert changed.training.updates == 3


def test_every_protocol_can_be_asked_for():
    from cloud_server.paper.features.commands import ProtocolChoice

    assert {choice.value for choice in ProtocolChoice} == set(PROTOCOLS)
    assert all(protocol.name == name for name, protocol in PROTOCOLS.items())
