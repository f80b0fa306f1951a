"""The server's key in its file, digits of a sound, and proof of work."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from cloud_server.captcha.keys import Keys, load_key, same_digits
from cloud_server.captcha.settings import CaptchaSettings, Rates
from cloud_server.captcha.types import Work
from cloud_server.captcha.work import is_nonce, new_salt, solves
from cloud_server.rpc.captcha.listeners import admin_token
from shared.errors import Code, GoodnoiseError


def test_a_key_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "new" / "captcha.key"
    key = load_key(path)
    assert len(key) == 32
    assert load_key(path) == key
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in path.parent.iterdir()] == ["captcha.key"]


def test_a_key_can_be_read_by_its_owner_alone_at_any_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    written = os.fsync

    def look(handle: int) -> None:
        seen.extend(stat.S_IMODE(each.stat().st_mode) for each in tmp_path.iterdir())
        written(handle)

    monkeypatch.setattr(os, "fsync", look)
    before = os.umask(0)
    try:
        load_key(tmp_path / "captcha.key")
        admin_token(tmp_path / "admin-token")
    finally:
        os.umask(before)
    assert seen
    assert set(seen) == {0o600}


def test_processes_that_begin_at_once_read_the_same_key(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from cloud_server.captcha.keys import load_key;"
        "sys.stdin.readline(); print(load_key(Path(sys.argv[1])).hex())"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "captcha.key")]
    children = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(3)
    ]
    assert len({child.communicate("\n")[0] for child in children}) == 1


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "captcha.key"
    load_key(path)
    path.chmod(0o640)
    with pytest.raises(GoodnoiseError, match="chmod 600") as caught:
        load_key(path)
    assert caught.value.code is Code.PERMISSION


@pytest.mark.parametrize("content", [b"", b"00" * 31, b"zz" * 32, b"\xff" * 64])
def test_a_file_without_a_key_is_refused_and_not_quoted(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "captcha.key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(GoodnoiseError, match="holds no key") as caught:
        load_key(path)
    assert caught.value.code is Code.CORRUPT


def test_digits_follow_from_challenge_and_key() -> None:
    keys = Keys(bytes(32))
    digits = keys.digits("a", 6)
    assert len(digits) == 6
    assert digits.isdecimal()
    assert keys.digits("a", 6) == digits
    assert len({keys.digits(str(n), 6) for n in range(200)}) > 190
    assert Keys(bytes([1]) * 32).digits("a", 6) != digits


def test_digits_are_heard_with_spaces_and_in_wide_letters() -> None:
    assert same_digits("012345", "012 3-45")
    assert same_digits("012345", "０１２３４５")  # noqa: RUF001 - as a Japanese keyboard writes them
    assert not same_digits("012345", "12345")


def test_addresses_get_names_that_only_the_key_gives() -> None:
    keys = Keys(bytes(32))
    assert keys.name("address", "192.0.2.1") == keys.name("address", "192.0.2.1")
    assert keys.name("address", "192.0.2.1") != keys.name("subnet", "192.0.2.1")
    assert keys.name("address", "192.0.2.1") != Keys(bytes([1]) * 32).name("address", "192.0.2.1")


def test_work_is_solved_by_some_number_and_not_by_all() -> None:
    work = Work(new_salt(), 8)
    solved = [n for n in range(3000) if solves(work, str(n))]
    assert 1 <= len(solved) < 60
    assert not solves(Work(work.salt, 256), str(solved[0]))


@pytest.mark.parametrize("text", ["", "-1", "1.0", "1" * 21, "٣", " 1", "1\n", "0x1"])
def test_what_is_no_nonce(text: str) -> None:
    assert not is_nonce(text)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("key", b"short"),
        ("challenge_seconds", 0),
        ("token_seconds", float("nan")),
        ("work_bits", 40),
        ("audio_digits", 2),
        ("skew_seconds", -1),
        ("plays", 0),
    ],
)
def test_a_bad_setting_is_named(field: str, value: object) -> None:
    values: dict[str, object] = {"key": bytes(32), field: value}
    with pytest.raises(GoodnoiseError, match=field):
        CaptchaSettings(**values)  # type: ignore[arg-type]


def test_settings_do_not_show_the_key() -> None:
    assert "ABCD" not in repr(CaptchaSettings(key=b"ABCD" * 8))


@pytest.mark.parametrize("text", ["20", "often", "20/fortnight"])
def test_a_bad_rate_is_named(text: str) -> None:
    with pytest.raises(GoodnoiseError, match="such as 20/minute"):
        Rates(address=text)
