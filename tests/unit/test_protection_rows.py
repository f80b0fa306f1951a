"""Rows of the protection table: roles, keys, files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from cloud_server.evaluation.protection.evaluate import chosen_rows
from cloud_server.evaluation.protection.rows import (
    ATTACK_ROWS,
    CURVE,
    LEVEL_ROWS,
    ROWS,
    Quality,
    Row,
    read_rows,
    role_of,
)
from shared.errors import Code, GoodnoiseError
from shared.levels.labels import LEVELS

ONE = Row(name="one", surrogates=("mobilefacenet-512",), hints=False)


@pytest.mark.parametrize(
    ("recogniser", "row", "role"),
    [
        ("mobilefacenet-512", ONE, "white"),
        ("sface", ONE, "judge"),
        ("sface", replace(ONE, grey=("sface",)), "grey"),
        ("sface", replace(ONE, hints=True), "grey"),  # the project's hints were trained on it
        ("dlib-resnet", replace(ONE, hints=True), "judge"),
        ("sface", replace(ONE, checkers=("sface",)), "checker"),
        ("sface", replace(ONE, checkers=("sface",), budget="auto"), "checker (selected on)"),
        ("mobilefacenet-512", replace(ONE, budget="strong"), "white (selected on)"),
        ("sface", replace(ONE, budget="auto"), "judge"),
    ],
)
def test_role_of_a_recogniser(recogniser: str, row: Row, role: str) -> None:
    assert role_of(recogniser, row) == role


def test_judges_of_the_project_are_judges_in_every_row() -> None:
    for row in (*ROWS, *CURVE, *LEVEL_ROWS, *ATTACK_ROWS):
        assert role_of("dlib-resnet", row) == "judge"


def test_rows_that_differ_have_other_keys_and_names() -> None:
    rows = (*ROWS, *CURVE, *LEVEL_ROWS, *ATTACK_ROWS)
    assert len({row.key for row in rows}) == len({row.name for row in rows}) == len(rows)
    assert replace(ONE, budget="6").key != ONE.key


def test_every_wire_level_has_a_row() -> None:
    assert [row.level for row in LEVEL_ROWS] == list(LEVELS)


def test_rows_and_qualities_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "rows.toml"
    path.write_text(
        """
        [[row]]
        name = "a"
        surrogates = ["mobilefacenet-512"]
        hints = false
        [[row]]
        name = "a + student"
        surrogates = ["mobilefacenet-512", "student"]
        budget = "36dB"
        album = true
        grey = ["sface"]
        [[row]]
        name = "a + sface"
        surrogates = ["mobilefacenet-512", "sface"]
        [[quality]]
        alone = "a"
        hint = "a + student"
        ensemble = "a + sface"
        """
    )
    rows, qualities = read_rows(path)
    assert rows[0] == replace(ONE, name="a")
    assert rows[1] == Row(
        name="a + student",
        surrogates=("mobilefacenet-512", "student"),
        budget="36dB",
        album=True,
        grey=("sface",),
    )
    assert qualities == (Quality(alone="a", hint="a + student", ensemble="a + sface"),)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("row = 3 =", "no valid TOML"),
        ("", "expected [[row]] tables"),
        ('[[row]]\nsurrogates = ["x"]', "no name"),
        ('[[row]]\nname = "a"', "names no surrogates"),
        ('[[row]]\nname = "a"\nsurrogates = ["x"]\nbudgte = "8"', "unknown key 'budgte'"),
        ('[[row]]\nname = "a"\nsurrogates = ["x"]\nbudget = 8', "budget is 8, expected str"),
        ('[[row]]\nname = "a"\nsurrogates = ["x"]\nlevel = "all"', "level is 'all'"),
        ('[[row]]\nname = "a"\nkind = "crop"\nsurrogates = ["x"]\nattack = "magic"', "attack is 'magic'"),
        ('[[row]]\nname = "a"\nsurrogates = ["x"]\n' * 2, "its own name"),
        ('[[row]]\nname = "a"\nsurrogates = ["x"]\n[[quality]]\nalone = "b"', "names row 'b'"),
    ],
)
def test_a_bad_file_is_refused_with_the_reason(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "rows.toml"
    path.write_text(text)
    with pytest.raises(GoodnoiseError, match=r"rows\.toml") as caught:
        read_rows(path)
    assert caught.value.code == Code.INVALID_INPUT
    assert said in caught.value.message


def test_rows_are_chosen_by_name_and_qualities_name_rows() -> None:
    rows, _ = chosen_rows(None, only=("album",))
    assert rows
    assert all("album" in row.name for row in rows)
    with pytest.raises(GoodnoiseError, match="no row 'x'"):
        chosen_rows(None, quality=("x", "y", "z"))
    with pytest.raises(GoodnoiseError, match="leaves no row"):
        chosen_rows(None, only=("nothing like it",))
