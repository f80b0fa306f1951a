"""The device side where torch and onnx are absent: a fresh interpreter protects a photo.

Also collected by the ordinary run, where torch is installed and must stay out of the process.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PHOTO = Path(__file__).resolve().parents[2] / "deploy" / "photos" / "astronaut.png"

SCRIPT = """
import sys
from pathlib import Path
import edge_client.agent.server, edge_client.batch, edge_client.channel, edge_client.cli, edge_client.update
from edge_client.devicenets import load_nets
from edge_client.ladder import parse_budget
from edge_client.photos import read_photo
from edge_client.protect import ProtectOptions, protect
from edge_client.store import BundleStore

photo = read_photo(Path(sys.argv[1]))
outcome = protect(photo, load_nets(BundleStore().current()), ProtectOptions(parse_budget("38dB")))
assert outcome.faces and outcome.gradient_calls > 0
assert (outcome.saved != photo.pixels).any()
loaded = {name.partition(".")[0] for name in sys.modules}
heavy = {"torch", "onnx", "tflite", "cloud_server", "models"} & loaded
assert not heavy, heavy
print("protected", len(outcome.faces))
"""


def home() -> str:
    """The device folder that `make_bundle.py` filled."""
    found = os.environ.get("GOODNOISE_DEVICE_TEST_HOME") or os.environ.get("GOODNOISE_HOME")
    if not found:
        pytest.fail("no device folder: run this by `make test-device`")
    return found


def test_a_photo_is_protected_and_nothing_heavy_is_loaded() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(PHOTO)],
        env=os.environ | {"GOODNOISE_HOME": home()},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "protected 1" in done.stdout


def test_the_command_protects_a_photo(tmp_path: Path) -> None:
    command = [str(Path(sys.executable).parent / "goodnoise"), "protect", str(PHOTO), "-o", str(tmp_path)]
    done = subprocess.run(
        [*command, "--budget", "40dB", "--level", "off"],
        env=os.environ | {"GOODNOISE_HOME": home()},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, 1), done.stderr
    assert (tmp_path / "astronaut.png").exists()
