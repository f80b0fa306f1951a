"""The `goodnoise` command as a user types it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from edge_client import batch
from edge_client.batch import JOURNAL
from edge_client.cli import app

RUNNER = CliRunner()
FAST = ("--budget", "45dB", "--level", "off")


@pytest.fixture(autouse=True)
def home(device_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GOODNOISE_HOME", str(device_home))
    monkeypatch.delenv("GOODNOISE_CLOUD", raising=False)
    return device_home


@pytest.fixture
def album_folder(photos: Path, tmp_path: Path) -> Path:
    """A folder with one photo, one text file and a hidden file."""
    folder = tmp_path / "in"
    (folder / "day one").mkdir(parents=True)
    (folder / "day one" / "me.png").write_bytes((photos / "astronaut.png").read_bytes())
    (folder / "notes.txt").write_text("no photo")
    (folder / ".hidden.png").write_bytes(b"")
    return folder


def goodnoise(*arguments: object) -> Result:
    return RUNNER.invoke(app, [str(a) for a in arguments])


@pytest.mark.zoo
def test_a_folder_keeps_its_structure_and_originals_stay(album_folder: Path, tmp_path: Path) -> None:
    original = (album_folder / "day one" / "me.png").read_bytes()
    result = goodnoise("protect", album_folder, "-o", tmp_path / "out", *FAST, "--json", "--report")
    report = json.loads(result.stdout)
    written = sorted(
        str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").rglob("*") if p.is_file()
    )
    assert written == [
        f"day one/{name}" for name in (JOURNAL, "me.png", "me.png.report.json", "me.png.report.png")
    ]
    assert (album_folder / "day one" / "me.png").read_bytes() == original
    assert result.exit_code == (0 if report["photos"][0]["protected"] else 1)
    assert len(report["photos"][0]["faces"][0]["recognisers"]) >= 2


@pytest.mark.zoo
def test_a_second_run_goes_on_from_the_first(album_folder: Path, tmp_path: Path) -> None:
    command = ("protect", album_folder, "-o", tmp_path / "out", *FAST, "--json")
    first = json.loads(goodnoise(*command).stdout)["photos"][0]
    output = Path(first["output"])
    stamp = output.stat().st_mtime_ns
    again = json.loads(goodnoise(*command).stdout)["photos"][0]
    assert not first["resumed"]
    assert again["resumed"]
    assert output.stat().st_mtime_ns == stamp
    output.write_bytes(b"cut off")
    assert goodnoise(*command).exit_code == 2  # something else lies there now; it is not overwritten
    mended = json.loads(goodnoise(*command, "--overwrite").stdout)["photos"][0]
    assert not mended["resumed"]


@pytest.mark.zoo
def test_a_report_is_of_the_result_that_lies_there(photos: Path, tmp_path: Path) -> None:
    """One that is missing is made up for; one of an earlier result goes with it."""
    out = tmp_path / "out"
    base = ("protect", photos / "astronaut.png", "-o", out, "--level", "off", "--json")
    goodnoise(*base, "--budget", "45dB", "--report")
    (out / "astronaut.png.report.png").unlink()
    again = json.loads(goodnoise(*base, "--budget", "45dB", "--report").stdout)["photos"][0]
    assert not again["resumed"]
    assert (out / "astronaut.png.report.png").exists()
    assert json.loads((out / "astronaut.png.report.json").read_text())["faces"] == again["faces"]
    goodnoise(*base, "--budget", "44dB")
    assert sorted(path.name for path in out.iterdir()) == [JOURNAL, "astronaut.png"]


@pytest.mark.zoo
def test_a_changed_setting_protects_anew(album_folder: Path, tmp_path: Path) -> None:
    base = ("protect", album_folder, "-o", tmp_path / "out", "--level", "off", "--json")
    goodnoise(*base, "--budget", "45dB")
    other = json.loads(goodnoise(*base, "--budget", "44dB").stdout)["photos"][0]
    assert not other["resumed"]
    assert other["faces"][0]["budget"].startswith("44 dB")


@pytest.mark.zoo
def test_a_bad_photo_does_not_cost_the_others(album_folder: Path, tmp_path: Path) -> None:
    (album_folder / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 not a photo")
    result = goodnoise("protect", album_folder, "-o", tmp_path / "out", *FAST, "--json")
    photos = {Path(p["source"]).name: p for p in json.loads(result.stdout)["photos"]}
    assert result.exit_code == 2
    assert "broken.jpg" in photos["broken.jpg"]["error"]["message"]
    assert photos["me.png"]["faces"]


@pytest.mark.zoo
def test_a_photo_without_a_face_has_its_own_exit_code(tmp_path: Path, noise_photo: np.ndarray) -> None:
    Image.fromarray(noise_photo).save(tmp_path / "noise.png")
    result = goodnoise("protect", tmp_path / "noise.png", *FAST)
    assert result.exit_code == 3
    assert not (tmp_path / "noise.protected.png").exists()


@pytest.mark.zoo
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("protect", "no-such.jpg"), "no-such.jpg does not exist"),
        (("protect", "{photo}", "--budget", "huge"), "budget 'huge'"),
        (("protect", "{photo}", "--level", "sign"), "level 'sign'"),
        (("protect", "{photo}", "--album", "no-such-album"), "no-such-album is not a folder"),
        (("check", "{photo}", "no-such.png"), "no-such.png"),
        (("update", "--cloud", "127.0.0.1:1", "--profile", "huge"), "profile 'huge'"),
    ],
)
def test_bad_input_names_the_thing(photos: Path, arguments: tuple[str, ...], said: str) -> None:
    photo = str(photos / "astronaut.png")
    result = goodnoise(*(photo if a == "{photo}" else a for a in arguments))
    assert result.exit_code == 2
    assert said in result.stderr


@pytest.mark.zoo
def test_two_photos_of_one_name_are_refused_before_any_work(photos: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "me.png").write_bytes((photos / "astronaut.png").read_bytes())
    result = goodnoise(
        "protect", tmp_path / "a" / "me.png", tmp_path / "b" / "me.png", "-o", tmp_path / "out"
    )
    assert result.exit_code == 2
    assert "two folders" in result.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.zoo
def test_check_prints_every_recogniser(photos: Path, tmp_path: Path) -> None:
    photo = photos / "astronaut.png"
    goodnoise("protect", photo, "-o", tmp_path, "--budget", "38dB", "--level", "off")
    unprotected = goodnoise("check", photo, photo)
    protected = goodnoise("check", photo, tmp_path / "astronaut.png", "--json")
    assert unprotected.exit_code == 1
    assert "matches" in unprotected.stdout
    faces = json.loads(protected.stdout)["faces"]
    assert all(r["similarity_after"] < r["similarity_before"] for r in faces[0]["recognisers"])


@pytest.mark.zoo
def test_bundle_show_says_what_is_installed() -> None:
    shown = goodnoise("bundle", "show")
    raw = json.loads(goodnoise("bundle", "show", "--json").stdout)
    assert shown.exit_code == 0
    for member in raw["members"]:
        assert member["card"]["name"] in shown.stdout
    assert "days old" in shown.stdout


@pytest.mark.zoo
def test_an_unreachable_cloud_is_said_and_the_installed_bundle_used(photos: Path, tmp_path: Path) -> None:
    result = goodnoise(
        "protect", photos / "astronaut.png", "-o", tmp_path, "--cloud", "127.0.0.1:1", "--budget", "45dB"
    )
    assert result.exit_code in (0, 1)
    assert "127.0.0.1:1" in result.stderr
    assert "working from the installed bundle" in result.stderr


def test_nothing_installed_and_no_cloud_has_its_own_exit_code(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOODNOISE_HOME", str(tmp_path / "empty"))
    for extra in ((), ("--cloud", "127.0.0.1:1")):
        result = goodnoise("protect", photos / "astronaut.png", "-o", tmp_path, *extra)
        assert result.exit_code == 4, result.stderr


@pytest.mark.zoo
def test_an_interrupted_run_leaves_whole_files_and_goes_on(photos: Path, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("a.png", "b.png"):
        (folder / name).write_bytes((photos / "astronaut.png").read_bytes())
    command = [sys.executable, "-m", "edge_client.cli", "protect", str(folder), "-o", str(tmp_path / "out")]
    process = subprocess.Popen(
        [*command, "--level", "off", "--budget", "45dB"],
        env=os.environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # A script's background jobs ignore the signal, and their children would, too.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )
    while process.poll() is None and not (tmp_path / "out" / "a.png").exists():
        pass
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert [p.name for p in sorted((tmp_path / "out").iterdir())] == [JOURNAL, "a.png"]
    done = json.loads(goodnoise("protect", folder, "-o", tmp_path / "out", *FAST, "--json").stdout)["photos"]
    assert [photo["resumed"] for photo in done] == [True, False]


@pytest.mark.zoo
@pytest.mark.parametrize("moment", ["before", "after"])
def test_wherever_a_run_is_interrupted_the_next_goes_on(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """At the last step of a photo, before and after it is in its place; what is done is still printed."""
    for name in ("a.png", "b.png"):
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / "in" / name).write_bytes((photos / "astronaut.png").read_bytes())
    write = batch.write_atomic

    def interrupted(path: Path, data: bytes, *, overwrite: bool = False) -> None:
        if path.name != "b.png" or moment == "after":
            write(path, data, overwrite=overwrite)
        if path.name == "b.png":
            raise KeyboardInterrupt

    command = ("protect", tmp_path / "in", "-o", tmp_path / "out", *FAST, "--json")
    with monkeypatch.context() as patch:
        patch.setattr(batch, "write_atomic", interrupted)
        first = goodnoise(*command)
    told = json.loads(first.stdout)
    assert first.exit_code == 130
    assert "the same command goes on" in first.stderr
    assert told["interrupted"]
    assert [Path(photo["source"]).name for photo in told["photos"]] == ["a.png"]
    again = json.loads(goodnoise(*command).stdout)
    assert [photo["resumed"] for photo in again["photos"]] == [True, moment == "after"]
    assert not again["interrupted"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [JOURNAL, "a.png", "b.png"]


@pytest.mark.zoo
def test_results_of_other_photos_are_never_replaced_unasked(photos: Path, tmp_path: Path) -> None:
    """Another photo of the same name, and one whose ending is corrected to an existing result's."""
    other = Image.open(photos / "astronaut.png").transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
    (tmp_path / "one" / "me.png").write_bytes((photos / "astronaut.png").read_bytes())
    other.save(tmp_path / "two" / "me.png")
    other.convert("RGB").save(tmp_path / "two" / "me.bmp", "PNG")  # a PNG by its content
    first = goodnoise("protect", tmp_path / "one" / "me.png", "-o", tmp_path / "out", *FAST, "--json")
    kept = (tmp_path / "out" / "me.png").read_bytes()
    assert first.exit_code in (0, 1)
    for name in ("me.png", "me.bmp"):
        result = goodnoise("protect", tmp_path / "two" / name, "-o", tmp_path / "out", *FAST)
        assert result.exit_code == 2
        assert "me.png exists already" in " ".join(result.stdout.split())
        assert (tmp_path / "out" / "me.png").read_bytes() == kept


@pytest.mark.zoo
def test_an_unchanged_photo_is_checked_in_valid_json(photos: Path) -> None:
    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    result = goodnoise("check", photos / "astronaut.png", photos / "astronaut.png", "--json")
    (face,) = json.loads(result.stdout, parse_constant=refuse)["faces"]
    assert result.exit_code == 1
    assert face["psnr_db"] is None
    assert (face["ssim"], face["ms_ssim"], face["edge_change"]) == (1.0, 1.0, 0.0)


@pytest.mark.zoo
def test_names_that_a_terminal_would_take_for_commands_do_no_harm(photos: Path, tmp_path: Path) -> None:
    for name in ("[red].png", "é [bold]x.png", "new\nline.png"):
        (tmp_path / name).write_bytes((photos / "grey.jpg").read_bytes())
    result = goodnoise("protect", tmp_path, "-o", tmp_path / "out", *FAST)
    assert result.exit_code in (0, 1), result.stderr
    assert "[red].png" in result.stdout
    assert "new?line.png" in result.stdout


@pytest.mark.zoo
def test_a_fault_of_the_program_is_not_taken_for_a_verdict(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def faulty(*_: object, **__: object) -> None:
        raise ZeroDivisionError("somewhere")

    monkeypatch.setattr("edge_client.protect.check_pair", faulty)
    result = goodnoise("check", photos / "astronaut.png", photos / "astronaut.png", "--json")
    assert result.exit_code == 5
    assert json.loads(result.stdout)["error"]["code"] == "internal"
    assert "report it" in result.stderr


@pytest.mark.zoo
def test_an_album_passes_over_hidden_files_and_results(photos: Path, tmp_path: Path) -> None:
    album = tmp_path / "album"
    album.mkdir()
    (album / "me.png").write_bytes((photos / "astronaut.png").read_bytes())
    for name in ("._me.png", "me.protected.png"):
        (album / name).write_bytes(b"nothing that can be read")
    (album / "folder.jpg").mkdir()
    result = goodnoise(
        "protect", photos / "astronaut.png", "-o", tmp_path / "out", "--album", album, *FAST, "--json"
    )
    assert json.loads(result.stdout)["photos"][0]["faces"][0]["anchor"] == "album", result.stderr


@pytest.mark.zoo
@pytest.mark.parametrize("content", [None, "noise"])
def test_an_album_without_a_face_names_itself(
    photos: Path, tmp_path: Path, noise_photo: np.ndarray, content: str | None
) -> None:
    (tmp_path / "album").mkdir()
    if content:
        Image.fromarray(noise_photo).save(tmp_path / "album" / "noise.png")
    result = goodnoise("protect", photos / "astronaut.png", "--album", tmp_path / "album", *FAST)
    assert result.exit_code == (3 if content else 2)
    assert "album" in result.stderr
    assert not list(photos.glob("*.protected.*"))


def test_help_lists_the_exit_codes() -> None:
    text = " ".join(goodnoise("protect", "--help").stdout.split())
    for word in (
        "0 every face",
        "1 a face still matches",
        "2 bad input",
        "3 a photo holds no",
        "4 no cloud",
        "130 interrupted",
    ):
        assert word in text
