"""`protect` beside a cloud that fails: what is installed still works, and the user is told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from edge_client.cli import app


def protect(cloud: str, photo: Path, out: Path, home: Path) -> Result:
    arguments = ["protect", str(photo), "-o", str(out), "--cloud", cloud, "--budget", "45dB"]
    return CliRunner().invoke(app, arguments, env={"GOODNOISE_HOME": str(home)})


@pytest.mark.zoo
def test_a_cloud_that_has_nothing_does_not_stop_the_work(
    start_cloud: Callable[..., Any], device_home: Path, photos: Path, tmp_path: Path
) -> None:
    result = protect(start_cloud().address, photos / "astronaut.png", tmp_path / "out", device_home)
    assert result.exit_code in (0, 1), result.stderr
    assert "working from the installed bundle" in result.stderr
    assert (tmp_path / "out" / "astronaut.png").exists()


def test_a_cloud_that_has_nothing_and_nothing_installed_is_an_error(
    start_cloud: Callable[..., Any], photos: Path, tmp_path: Path
) -> None:
    result = protect(start_cloud().address, photos / "astronaut.png", tmp_path / "out", tmp_path / "home")
    assert result.exit_code not in (0, 1)
    assert "goodnoise: " in result.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.zoo
def test_a_bad_address_is_the_users_to_mend(device_home: Path, photos: Path, tmp_path: Path) -> None:
    result = protect("nowhere", photos / "astronaut.png", tmp_path / "out", device_home)
    assert result.exit_code == 2
    assert "nowhere" in result.stderr
