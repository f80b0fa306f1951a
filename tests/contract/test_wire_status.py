"""Errors cross the wire and come back as they were, through a real server with the shared interceptor."""

import asyncio
from contextlib import contextmanager

import grpc
import grpc.aio
import pytest
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from shared.errors import Code, GoodnoiseError
from shared.wire.serving import TranslateErrors
from shared.wire.status import error_from_call, grpc_code, status_of

FORMS = ("unary_unary", "unary_stream", "stream_unary", "stream_stream")


def handler(form, fail):
    async def single(request, context):
        await asyncio.sleep(0)
        await fail(context)
        return b""

    async def stream(request, context):
        yield b"first"
        await fail(context)

    behaviour = stream if form.endswith("stream") else single
    return getattr(grpc, f"{form}_rpc_method_handler")(behaviour)


@pytest.fixture
def failing(server_loop):
    """`failing(fail, form)`: a method whose servicer runs `await fail(context)`, and the faults told of."""
    servers, faults = [], []

    async def build(fail, form):
        server = grpc.aio.server(
            interceptors=[TranslateErrors(lambda method, error: faults.append(error), prefix="/t.")]
        )
        servers.append(server)
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("t.T", {"M": handler(form, fail)}),)
        )
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        return port

    @contextmanager
    def start(fail, form="unary_unary"):
        with grpc.insecure_channel(f"127.0.0.1:{server_loop.run(build(fail, form))}") as channel:
            yield getattr(channel, form)("/t.T/M"), faults

    yield start
    for server in servers:
        server_loop.run(server.stop(0))


def call(method, form="unary_unary"):
    request = iter([b""]) if form.startswith("stream") else b""
    with pytest.raises(grpc.RpcError) as caught:
        list(method(request, timeout=60))
    return caught.value


def raising(error):
    async def fail(context):
        raise error

    return fail


@pytest.mark.parametrize("code", list(Code))
def test_every_code_comes_back_as_it_was(failing, code):
    with failing(raising(GoodnoiseError(code, "the message ü", {"name": "value"}))) as (method, faults):
        error = call(method)
    assert error.code() is grpc_code(code)
    back = error_from_call(error, peer="cloud:1")
    assert (back.code, back.message, back.details, faults) == (code, "the message ü", {"name": "value"}, [])


@pytest.mark.parametrize("form", FORMS)
def test_all_four_kinds_of_calls_are_translated(failing, form):
    with failing(raising(GoodnoiseError(Code.PRECONDITION, "first do that")), form) as (method, _):
        assert error_from_call(call(method, form), peer="p").code is Code.PRECONDITION


@pytest.mark.parametrize("form", FORMS)
def test_a_fault_is_told_to_the_server_and_hidden_from_the_peer(failing, form):
    with failing(raising(RuntimeError("secret")), form) as (method, faults):
        error = call(method, form)
    assert error.code() is grpc.StatusCode.INTERNAL
    assert "secret" not in str(error)
    assert [str(fault) for fault in faults] == ["secret"]


@pytest.mark.parametrize("form", FORMS)
def test_a_servicers_own_abort_passes(failing, form):
    async def fail(context):
        await context.abort(grpc.StatusCode.ALREADY_EXISTS, "mine")

    with failing(fail, form) as (method, faults):
        error = call(method, form)
    assert (error.code(), error.details(), faults) == (grpc.StatusCode.ALREADY_EXISTS, "mine", [])


def test_a_field_travels_as_bad_request_and_a_delay_as_retry_info(failing):
    error = GoodnoiseError(Code.EXHAUSTED, "too often", {"field": "name", "retry_after_seconds": "2.5"})
    with failing(raising(error)) as (method, _):
        failed = call(method)
    kinds = [item.TypeName().rpartition(".")[2] for item in rpc_status.from_call(failed).details]
    assert kinds == ["ErrorInfo", "BadRequest", "RetryInfo"]
    assert error_from_call(failed, peer="p").details == error.details


@pytest.mark.parametrize("character", ["m", "ü", "面", "😀"])
def test_a_long_message_is_cut_rather_than_lost(failing, character):
    details = {"field": character * 1000, "retry_after_seconds": "1"}
    details |= {character * 50 + str(n): character * 1000 for n in range(100)}
    error = GoodnoiseError(Code.INVALID_INPUT, character * 100_000, details)
    with failing(raising(error)) as (method, _):
        failed = call(method)
    back = error_from_call(failed, peer="p")
    assert back.code is Code.INVALID_INPUT
    assert set(back.message) == {character}
    # Above 8 KiB gRPC begins to drop answers at random; the header list has 32 bytes of overhead a field.
    details = b"".join(value for _, value in failed.trailing_metadata())
    assert len(back.message.encode()) * 3 + len(details) * 4 / 3 < (8 << 10) - 500


class Failed:
    """A failed call as gRPC hands it over, with trailers of a peer's choice."""

    def __init__(self, code, text, *details, rich_code=None, trailers=None):
        status = status_pb2.Status(code=(rich_code or code).value[0], message=text)
        for detail in details:
            status.details.add().Pack(detail)
        self._code, self._text = code, text
        self._trailers = (
            (("grpc-status-details-bin", status.SerializeToString()),) if trailers is None else trailers
        )

    def code(self):
        return self._code

    def details(self):
        return self._text

    def trailing_metadata(self):
        return self._trailers


def info(reason, domain="goodnoise", **metadata):
    return error_details_pb2.ErrorInfo(reason=reason, domain=domain, metadata=metadata)


@pytest.mark.parametrize(
    ("failed", "code"),
    [
        (Failed(grpc.StatusCode.NOT_FOUND, "x", info("NO_FACE")), Code.NO_FACE),
        (
            Failed(grpc.StatusCode.NOT_FOUND, "x", info("PERMISSION")),
            Code.NOT_FOUND,
        ),  # contradicts the status
        (Failed(grpc.StatusCode.NOT_FOUND, "x", info("NONSENSE")), Code.NOT_FOUND),
        (Failed(grpc.StatusCode.NOT_FOUND, "x", info("NO_FACE", domain="elsewhere")), Code.NOT_FOUND),
        (
            Failed(grpc.StatusCode.NOT_FOUND, "x", info("NO_FACE"), rich_code=grpc.StatusCode.INTERNAL),
            Code.NOT_FOUND,
        ),
        (
            Failed(grpc.StatusCode.INTERNAL, "x", trailers=(("grpc-status-details-bin", b"\xff\xff"),)),
            Code.INTERNAL,
        ),
        (Failed(grpc.StatusCode.UNKNOWN, "x", trailers=()), Code.INTERNAL),
        (Failed(grpc.StatusCode.UNIMPLEMENTED, "x", trailers=()), Code.PRECONDITION),
        (Failed(grpc.StatusCode.DEADLINE_EXCEEDED, "x", trailers=None), Code.DEADLINE),
        (Failed(None, None, rich_code=grpc.StatusCode.UNKNOWN, trailers=()), Code.INTERNAL),
    ],
)
def test_what_a_peer_says_is_believed_only_where_it_fits(failed, code):
    assert error_from_call(failed, peer="cloud:1").code is code


def test_an_unreachable_peer_is_named_with_the_way_out():
    back = error_from_call(Failed(grpc.StatusCode.UNAVAILABLE, "refused", trailers=()), peer="cloud:1")
    assert back.message == (
        "cannot reach cloud:1 (refused); check the address and that the server runs, or try again later"
    )


def test_control_characters_do_not_pass():
    back = error_from_call(
        Failed(grpc.StatusCode.INTERNAL, "\x1b[31m\n", info("INTERNAL", k="\x07")), peer="p"
    )
    assert back.message.isprintable()
    assert back.details["k"].isprintable()


def test_a_status_holds_what_a_program_needs():
    status = status_of(GoodnoiseError(Code.INVALID_INPUT, "name is ''", {"field": "name"}))
    assert (status.code, status.details) == (grpc.StatusCode.INVALID_ARGUMENT, "name is ''")
