"""The container files, as far as they can be proven without a container engine: by running what they name."""

import re
import shlex
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
COMPOSE = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())
DOCKERFILES = ("Dockerfile.edge", "Dockerfile.cloud")


def instructions(name):
    """Instruction and its text, with continued lines joined."""
    text = (ROOT / "deploy" / name).read_text().replace("\\\n", " ")
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [tuple(line.split(None, 1)) for line in lines]


def test_there_is_no_container_file_that_is_not_tested():
    assert {path.name for path in (ROOT / "deploy").glob("Dockerfile*")} == set(DOCKERFILES)


@pytest.mark.parametrize("name", DOCKERFILES)
def test_everything_that_is_copied_exists_and_reaches_the_builder(name):
    allowed = re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    sources = [
        source
        for kind, text in instructions(name)
        if kind == "COPY" and not text.startswith("--from")
        for source in shlex.split(text)[:-1]
    ]
    assert "shared" in sources
    for source in sources:
        assert (ROOT / source).exists(), source
        assert source in allowed


@pytest.mark.parametrize("name", DOCKERFILES)
def test_the_image_runs_a_command_of_the_project_as_an_ordinary_user(name):
    last = dict(instructions(name))  # the last of each kind is the one that counts
    assert int(last["USER"]) > 0
    command = yaml.safe_load(last["ENTRYPOINT"])[0]
    assert command in PROJECT["scripts"]
    package = PROJECT["scripts"][command].partition(".")[0]
    assert f"{package} {package}" in [text for kind, text in instructions(name) if kind == "COPY"]


def test_only_the_cloud_installs_an_extra_and_none_installs_torch():
    extras = {name: re.findall(r"\[(\w+)\]\"", (ROOT / "deploy" / name).read_text()) for name in DOCKERFILES}
    assert extras == {"Dockerfile.edge": [], "Dockerfile.cloud": ["cloud"]}
    assert not any(
        "torch" in item for item in PROJECT["dependencies"] + PROJECT["optional-dependencies"]["cloud"]
    )


def test_compose_builds_from_files_that_exist():
    for service in COMPOSE["services"].values():
        context = (ROOT / "deploy" / service["build"]["context"]).resolve()
        assert context == ROOT
        assert (context / service["build"]["dockerfile"]).is_file()


def test_compose_publishes_no_plaintext_outside_loopback():
    assert all(port.startswith("127.0.0.1:") for port in COMPOSE["services"]["cloud"]["ports"])


def test_named_volumes_are_declared():
    named = {
        re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", volume).partition(":")[0]
        for service in COMPOSE["services"].values()
        for volume in service["volumes"]
    }
    assert {name for name in named if not name.startswith(".")} == set(COMPOSE["volumes"])


def run(command):
    """The same command, in this environment instead of the image's."""
    assert command[0] == "goodnoise-cloud"
    return [sys.executable, "-m", "cloud_server.cli", *command[1:]]


def test_the_command_of_compose_serves_and_its_health_check_finds_it(tmp_path):
    service = COMPOSE["services"]["cloud"]
    place = {"/bundles": str(tmp_path), "0.0.0.0:50051": "0.0.0.0:0"}
    port_file = tmp_path / "port"
    command = [
        "goodnoise-cloud",
        *(place.get(word, word) for word in service["command"]),
        "--port-file",
        str(port_file),
    ]
    command = [word if word != "2" else "0" for word in command]  # nobody to drain
    kind, *check = service["healthcheck"]["test"]
    assert kind == "CMD"
    with subprocess.Popen(run(command), stderr=subprocess.PIPE, text=True) as process:
        assert '"serving"' in process.stderr.readline()
        port = port_file.read_text().strip()
        checked = subprocess.run(run([word.replace("50051", port) for word in check]), check=False)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
    assert (checked.returncode, process.returncode) == (0, 0)
    again = subprocess.run(
        run([word.replace("50051", port) for word in check]), check=False, stderr=subprocess.PIPE
    )
    assert again.returncode != 0


def test_compose_waits_for_calls_in_flight():
    command = COMPOSE["services"]["cloud"]["command"]
    drain = float(command[command.index("--drain-seconds") + 1])
    assert float(COMPOSE["services"]["cloud"]["stop_grace_period"].removesuffix("s")) > drain + 10.0
