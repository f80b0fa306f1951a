"""A real `goodnoise agent` process: its first lines, its end, its exit code."""

import os
import signal
import subprocess
import sys
from dataclasses import dataclass

import grpc
import pytest

from shared.wire.goodnoise.v1 import edge_pb2, edge_pb2_grpc


@dataclass
class AgentProcess:
    process: subprocess.Popen
    lines: list

    @property
    def address(self):
        return self.lines[-1].removeprefix("listening on ")

    def end(self, number):
        """Send a signal; returns the exit code and what else was printed."""
        self.process.send_signal(number)
        _, printed = self.process.communicate(timeout=60)
        return self.process.returncode, printed


@pytest.fixture
def spawn(tmp_path):
    """Starts agents: `spawn(*arguments)` returns once one listens, or has ended."""
    started = []

    def run(*arguments):
        process = subprocess.Popen(
            [sys.executable, "-m", "edge_client.cli", "agent", *arguments],
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "GOODNOISE_HOME": str(tmp_path / "device"), "COLUMNS": "40"},
        )
        started.append(process)
        lines = []
        for line in process.stderr:
            lines.append(line.rstrip("\n"))
            if line.startswith("listening on "):
                break
        return AgentProcess(process, lines)

    yield run
    for process in started:
        if process.poll() is None:
            process.kill()
        process.wait()
        process.stderr.close()


def answer(address, metadata=None):
    request = edge_pb2.UpdateRequest(cloud="nowhere")
    with grpc.insecure_channel(address) as channel, pytest.raises(grpc.RpcError) as caught:
        list(edge_pb2_grpc.EdgeServiceStub(channel).Update(request, metadata=metadata, timeout=60))
    return caught.value.code()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly(spawn, tmp_path, number):
    path = tmp_path / "run" / "agent.sock"
    agent = spawn("--listen", f"unix:{path}")
    assert agent.lines == [f"listening on unix:{path}"]
    assert answer(agent.address) is grpc.StatusCode.INVALID_ARGUMENT
    assert agent.end(number) == (0, "")
    assert not path.exists()


def test_on_loopback_it_says_where_port_and_token_are(spawn, tmp_path):
    agent = spawn("--listen", "127.0.0.1:0")
    file = tmp_path / "device" / "agent-token"
    assert agent.lines[0] == f"token in {file}"
    assert answer(agent.address) is grpc.StatusCode.UNAUTHENTICATED
    token = file.read_text().strip()
    assert token not in "".join(agent.lines)
    sent = [("authorization", f"Bearer {token}")]
    assert answer(agent.address, sent) is grpc.StatusCode.INVALID_ARGUMENT
    assert agent.end(signal.SIGTERM) == (0, "")
    assert not file.exists()


def test_a_call_that_is_open_does_not_hold_up_the_end(spawn, tmp_path):
    agent = spawn("--listen", f"unix:{tmp_path}/run/agent.sock")
    with grpc.insecure_channel(agent.address) as channel:
        grpc.channel_ready_future(channel).result(20)
        silent = edge_pb2_grpc.EdgeServiceStub(channel).Protect(_silence(agent.process), timeout=60)
        assert agent.end(signal.SIGTERM) == (0, "")
        with pytest.raises(grpc.RpcError):
            list(silent)


def _silence(process):
    yield edge_pb2.ProtectRequest(options=edge_pb2.ProtectOptions())
    process.wait(60)


def test_after_a_kill_the_next_agent_takes_the_socket_over(spawn, tmp_path):
    path = tmp_path / "run" / "agent.sock"
    first = spawn("--listen", f"unix:{path}")
    first.end(signal.SIGKILL)
    assert path.is_socket()
    second = spawn("--listen", f"unix:{path}")
    assert answer(second.address) is grpc.StatusCode.INVALID_ARGUMENT


def test_a_place_that_is_not_private_is_bad_input(spawn):
    agent = spawn("--listen", "0.0.0.0:0")
    assert agent.process.wait(60) == 2
    assert "loopback" in " ".join(agent.lines)
