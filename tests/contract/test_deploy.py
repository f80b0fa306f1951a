"""The container files, as far as they can be proven without a container engine: by running what they name."""

import json
import re
import shlex
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from cloud_server.cli import app

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
COMPOSE = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())
DOCKERFILES = ("Dockerfile.edge", "Dockerfile.cloud", "Dockerfile.captcha")
BUILT = {name: service for name, service in COMPOSE["services"].items() if "build" in service}
KUBERNETES = list(yaml.safe_load_all((ROOT / "deploy" / "kubernetes" / "captcha.yaml").read_text()))


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


def test_only_what_makes_captchas_installs_torch():
    texts = {name: (ROOT / "deploy" / name).read_text() for name in DOCKERFILES}
    extras = {name: re.findall(r"\[(\w+)\]\"", text) for name, text in texts.items()}
    assert extras == {"Dockerfile.edge": [], "Dockerfile.cloud": ["cloud"], "Dockerfile.captcha": ["captcha"]}
    assert [name for name, text in texts.items() if "TORCH" in text] == ["Dockerfile.captcha"]
    assert not any(
        "torch" in item for item in PROJECT["dependencies"] + PROJECT["optional-dependencies"]["cloud"]
    )


def test_compose_builds_from_files_that_exist():
    for service in BUILT.values():
        context = (ROOT / "deploy" / service["build"]["context"]).resolve()
        assert context == ROOT
        assert (context / service["build"]["dockerfile"]).is_file()


def test_compose_publishes_no_plaintext_outside_loopback():
    ports = [port for service in COMPOSE["services"].values() for port in service.get("ports", ())]
    assert len(ports) == 3
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_named_volumes_are_declared():
    named = {
        re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", volume).partition(":")[0]
        for service in COMPOSE["services"].values()
        for volume in service.get("volumes", ())
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


# ---- the CAPTCHA


@pytest.fixture
def serve_captcha(redis, tmp_path):
    """Runs `goodnoise-cloud ARGUMENTS` with a service's variables, on free ports and a Redis of its own."""
    started = []

    def start(arguments, variables):
        ports = tmp_path / "ports"
        named = dict(word.split("=", 1) for word in arguments if "=" in word)
        assert {"--http", "--grpc"} <= set(named)
        changes = {
            f"--http={named['--http']}": "--http=0.0.0.0:0",
            f"--grpc={named['--grpc']}": "--grpc=0.0.0.0:0",
        }
        command = [
            re.sub(r"drain-seconds=.*", "drain-seconds=0", changes.get(word, word)) for word in arguments
        ]
        process = subprocess.Popen(
            run(["goodnoise-cloud", *command, "--no-speech", "--port-file", str(ports)]),
            stderr=subprocess.PIPE,
            text=True,
            env={
                "PATH": "/usr/bin",
                **variables,
                "GOODNOISE_CAPTCHA_STATE": redis.url,
                "GOODNOISE_CAPTCHA_COUNTERS": redis.url,
                "GOODNOISE_CAPTCHA_KEY_FILE": str(tmp_path / "key"),
            },
        )
        started.append(process)
        for line in process.stderr:
            if '"serving"' in line:
                return process, json.loads(ports.read_text())
        raise AssertionError("the service ended")

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_the_captcha_of_compose_serves_and_its_health_check_finds_it(serve_captcha):
    service = COMPOSE["services"]["captcha"]
    process, ports = serve_captcha(service["command"], service["environment"])
    kind, *check = service["healthcheck"]["test"]
    assert kind == "CMD"
    check = run([word.replace("50061", str(ports["grpc"])) for word in check])
    assert subprocess.run(check, check=False).returncode == 0
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 0


def of_kind(kind):
    return {item["metadata"]["name"]: item for item in KUBERNETES if item["kind"] == kind}


def pod(name):
    return of_kind("Deployment")[name]["spec"]["template"]["spec"]


def test_the_captcha_of_kubernetes_serves_with_its_arguments_and_variables(serve_captcha):
    variables = of_kind("ConfigMap")["goodnoise-captcha"]["data"]
    container = pod("goodnoise-captcha")["containers"][0]
    process, ports = serve_captcha(container["args"], variables)
    probe = container["readinessProbe"]["grpc"]
    named = {port["containerPort"] for port in container["ports"]}
    assert {
        probe["port"],
        *(int(word.rpartition(":")[2]) for word in container["args"] if word[:6] in ("--http", "--grpc")),
    } == named
    asked = run(["goodnoise-cloud", "health", f"127.0.0.1:{ports['grpc']}", "--service", probe["service"]])
    assert subprocess.run(asked, check=False).returncode == 0
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 0


@pytest.mark.parametrize("name", ["goodnoise-captcha", "goodnoise-captcha-fill"])
def test_pods_run_as_an_ordinary_user_on_a_read_only_disk_with_the_same_key_and_state(name):
    spec = pod(name)
    assert spec["securityContext"]["runAsUser"] == 10001
    assert spec["initContainers"] == pod("goodnoise-captcha")["initContainers"]
    assert spec["volumes"] == pod("goodnoise-captcha")["volumes"]
    for container in spec["containers"] + spec["initContainers"]:
        assert container["securityContext"]["readOnlyRootFilesystem"]
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert spec["containers"][0]["envFrom"] == [{"configMapRef": {"name": "goodnoise-captcha"}}]


def test_services_and_policies_choose_pods_that_there_are():
    apps = {
        item["spec"]["template"]["metadata"]["labels"]["app"]
        for item in KUBERNETES
        if item["kind"] in ("Deployment", "StatefulSet")
    }
    for service in of_kind("Service").values():
        assert service["spec"]["selector"]["app"] in apps
    variables = of_kind("ConfigMap")["goodnoise-captcha"]["data"]
    for name, known in (("STATE", "redis"), ("COUNTERS", "counters")):
        host = re.fullmatch(r"redis://([a-z-]+):6379/0", variables[f"GOODNOISE_CAPTCHA_{name}"])[1]
        assert host in of_kind("Service")
        compose = COMPOSE["services"]["captcha"]["environment"][f"GOODNOISE_CAPTCHA_{name}"]
        assert compose == f"redis://{known}:6379/0"


def test_both_ways_to_run_redis_keep_the_pool():
    compose = COMPOSE["services"]["redis"]["command"]
    pods = of_kind("StatefulSet")["goodnoise-captcha-redis"]["spec"]["template"]["spec"]["containers"][0][
        "args"
    ]
    assert compose == pods
    assert compose[compose.index("--appendfsync") + 1] == "always"


def test_the_filler_has_the_servers_key_and_state():
    serve, fill = COMPOSE["services"]["captcha"], COMPOSE["services"]["captcha-fill"]
    assert (serve["volumes"], serve["environment"]) == (fill["volumes"], fill["environment"])
    done = CliRunner().invoke(app, [*fill["command"], "--help"])
    assert done.exit_code == 0
    done = CliRunner().invoke(app, [*pod("goodnoise-captcha-fill")["containers"][0]["args"], "--help"])
    assert done.exit_code == 0


def test_pods_wait_for_calls_in_flight():
    spec = pod("goodnoise-captcha")
    words = dict(word.split("=") for word in spec["containers"][0]["args"] if "seconds" in word)
    together = float(words["--drain-seconds"]) + float(words["--grace-seconds"])
    assert spec["terminationGracePeriodSeconds"] > together
