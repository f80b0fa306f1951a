"""Where the agent listens, who may call it, and what it leaves behind."""

import os
import socket
import stat

import grpc
import pytest

from edge_client.agent.listen import parse_listen
from shared.errors import Code, GoodnoiseError
from shared.wire.goodnoise.v1 import edge_pb2, edge_pb2_grpc

NOWHERE = edge_pb2.UpdateRequest(cloud="nowhere")  # refused at once, so it serves to see who is let in


def answer(address, *, token=None, metadata=None):
    """The status that a harmless call ends with."""
    sent = metadata or ([("authorization", f"Bearer {token}")] if token else None)
    with grpc.insecure_channel(address) as channel, pytest.raises(grpc.RpcError) as caught:
        list(edge_pb2_grpc.EdgeServiceStub(channel).Update(NOWHERE, metadata=sent, timeout=60))
    return caught.value.code()


def token_of(agent):
    return agent.token_file.read_text().strip()


@pytest.mark.parametrize(
    "listen",
    [
        "0.0.0.0:7070",
        "[::]:7070",
        "192.168.1.4:7070",
        "127.0.0.2:7070",
        "example.org:7070",
        "localhost.example.org:7070",
        "127.0.0.1",
        "127.0.0.1:70000",
        "unix:",
        "unix-abstract:agent",
        "/run/agent.sock",
        "",
        "unix:/" + "x" * 110,
    ],
)
def test_places_that_others_could_reach_are_refused(listen):
    with pytest.raises(GoodnoiseError) as caught:
        parse_listen(listen)
    assert caught.value.code is Code.INVALID_INPUT


# ---- Unix sockets


def test_a_missing_folder_is_made_for_its_owner_alone(start_agent, tmp_path):
    agent = start_agent()
    assert stat.S_IMODE((tmp_path / "run").stat().st_mode) == 0o700
    assert agent.token_file is None
    assert answer(agent.address) is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize("mode", [0o710, 0o701, 0o755, 0o777])
def test_a_folder_that_others_can_enter_is_refused(start_agent, tmp_path, mode):
    (tmp_path / "run").mkdir()
    (tmp_path / "run").chmod(mode)
    with pytest.raises(GoodnoiseError, match=f"mode {mode:04o}") as caught:
        start_agent()
    assert caught.value.code is Code.PERMISSION
    assert list((tmp_path / "run").iterdir()) == []


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_another_user_is_refused(start_agent, tmp_path):
    (tmp_path / "run").mkdir(mode=0o700)
    os.chown(tmp_path / "run", 12345, 12345)
    with pytest.raises(GoodnoiseError, match="another user") as caught:
        start_agent()
    assert caught.value.code is Code.PERMISSION


def test_a_link_is_followed_before_the_folder_is_judged(start_agent, tmp_path):
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o755)
    (tmp_path / "run").symlink_to(tmp_path / "open")
    with pytest.raises(GoodnoiseError, match="0755"):
        start_agent()


def test_a_socket_that_nobody_listens_on_is_replaced(start_agent, tmp_path):
    (tmp_path / "run").mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / "run" / "agent.sock"))
    assert answer(start_agent().address) is grpc.StatusCode.INVALID_ARGUMENT


def test_a_socket_that_another_program_listens_on_is_left_alone(start_agent, tmp_path):
    (tmp_path / "run").mkdir(mode=0o700)
    path = str(tmp_path / "run" / "agent.sock")
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(path)
        other.listen()
        with pytest.raises(GoodnoiseError, match="another server listens"):
            start_agent()
        with socket.socket(socket.AF_UNIX) as caller:
            caller.connect(path)


def test_a_second_agent_on_a_socket_is_refused_and_the_first_goes_on(start_agent):
    first = start_agent()
    with pytest.raises(GoodnoiseError, match="another server listens"):
        start_agent()
    assert answer(first.address) is grpc.StatusCode.INVALID_ARGUMENT


def test_a_file_in_the_sockets_place_is_kept(start_agent, tmp_path):
    (tmp_path / "run").mkdir(mode=0o700)
    (tmp_path / "run" / "agent.sock").write_text("mine")
    with pytest.raises(GoodnoiseError, match="no socket"):
        start_agent()
    assert (tmp_path / "run" / "agent.sock").read_text() == "mine"


def test_odd_characters_in_a_path_reach_the_socket(start_agent, tmp_path):
    agent = start_agent(f"unix:{tmp_path}/run/a 1%20?#é.sock")
    assert (tmp_path / "run" / "a 1%20?#é.sock").is_socket()
    assert answer(agent.address) is grpc.StatusCode.INVALID_ARGUMENT


# ---- loopback


@pytest.mark.parametrize("listen", ["127.0.0.1:0", "localhost:0"])
def test_a_free_port_is_announced_and_the_token_lets_in(start_agent, tmp_path, listen):
    agent = start_agent(listen, token_file=tmp_path / "made" / "token")
    host, _, port = agent.address.rpartition(":")
    assert (host, int(port) > 0) == ("127.0.0.1", True)
    assert answer(agent.address, token=token_of(agent)) is grpc.StatusCode.INVALID_ARGUMENT


def test_the_token_is_long_and_only_its_owner_can_read_it(start_agent, tmp_path):
    agent = start_agent("127.0.0.1:0", token_file=tmp_path / "made" / "token")
    assert stat.S_IMODE(agent.token_file.stat().st_mode) == 0o600
    assert stat.S_IMODE(agent.token_file.parent.stat().st_mode) == 0o700
    assert len(token_of(agent)) >= 43  # 32 bytes in base64


@pytest.mark.parametrize(
    "make",
    [
        lambda _: None,
        lambda _: [("authorization", "Bearer wrong")],
        lambda _: [("authorization", "")],
        lambda token: [("authorization", token)],
        lambda token: [("authorization", f"Bearer {token[:-1]}")],
        lambda token: [("authorization", f"Bearer {token}"), ("authorization", "Bearer other")],
        lambda token: [("x-token", f"Bearer {token}")],
    ],
    ids=["none", "wrong", "empty", "bare", "cut", "twice", "elsewhere"],
)
def test_a_call_without_the_token_is_refused(start_agent, tmp_path, make):
    agent = start_agent("127.0.0.1:0", token_file=tmp_path / "token")
    sent = make(token_of(agent))
    assert answer(agent.address, metadata=sent) is grpc.StatusCode.UNAUTHENTICATED


def test_every_method_asks_for_the_token(start_agent, tmp_path):
    agent = start_agent("127.0.0.1:0", token_file=tmp_path / "token")
    with grpc.insecure_channel(agent.address) as channel:
        stub = edge_pb2_grpc.EdgeServiceStub(channel)
        calls = [
            lambda: list(stub.Protect(iter([]), timeout=60)),
            lambda: stub.Check(iter([]), timeout=60),
            lambda: list(stub.Update(NOWHERE, timeout=60)),
        ]
        for call in calls:
            with pytest.raises(grpc.RpcError) as caught:
                call()
            assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
            assert token_of(agent) not in caught.value.details()


def test_a_token_file_is_replaced_not_followed(start_agent, tmp_path):
    (tmp_path / "elsewhere").write_text("kept")
    (tmp_path / "token").symlink_to(tmp_path / "elsewhere")
    agent = start_agent("127.0.0.1:0", token_file=tmp_path / "token")
    assert (tmp_path / "elsewhere").read_text() == "kept"
    assert answer(agent.address, token=token_of(agent)) is grpc.StatusCode.INVALID_ARGUMENT


def test_two_agents_do_not_share_a_token_file(start_agent, tmp_path):
    first = start_agent("127.0.0.1:0", token_file=tmp_path / "token")
    with pytest.raises(GoodnoiseError, match="--token-file"):
        start_agent("127.0.0.1:0", token_file=tmp_path / "token")
    second = start_agent("127.0.0.1:0", token_file=tmp_path / "other")
    assert token_of(first) != token_of(second)
    assert answer(second.address, token=token_of(first)) is grpc.StatusCode.UNAUTHENTICATED
    assert answer(first.address, token=token_of(first)) is grpc.StatusCode.INVALID_ARGUMENT


def test_a_port_that_is_taken_is_refused_and_leaves_no_token(start_agent, tmp_path):
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(GoodnoiseError, match="taken") as caught,
    ):
        start_agent(f"127.0.0.1:{taken.getsockname()[1]}", token_file=tmp_path / "token")
    assert caught.value.code is Code.INVALID_INPUT
    assert not (tmp_path / "token").exists()


def test_a_token_file_that_cannot_be_written_is_an_error_of_the_project(start_agent, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(GoodnoiseError, match="--token-file"):
        start_agent("127.0.0.1:0", token_file=tmp_path / "file" / "token")
