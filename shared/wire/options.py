"""Every channel and server option of the project, each with its reason. Nothing else in the tree sets one.

Both ends must agree on keepalive: a server that sees pings more often than it allows closes the connection
with ENHANCE_YOUR_CALM, so the two sides stand in one file.
"""

from __future__ import annotations

import ipaddress
import json
import re
from typing import Any

from shared.errors import Code, GoodnoiseError
from shared.wire.limits import MAX_MESSAGE_BYTES

__all__ = [
    "CALL_SECONDS",
    "DIRECTION_SECONDS",
    "KEEPALIVE_SECONDS",
    "STREAM_SECONDS",
    "USER_AGENT",
    "Options",
    "client_options",
    "host_port",
    "is_loopback",
    "server_options",
    "service_config",
]

Options = list[tuple[str, Any]]

CALL_SECONDS = 10.0  # deadline of a call with one small answer
DIRECTION_SECONDS = 30.0  # deadline of a call for which the cloud runs its recognisers, waiting included
STREAM_SECONDS = 120.0  # deadline of one stream of an object; a slow line resumes at the offset it reached
KEEPALIVE_SECONDS = 60  # how often a client may ask a silent server whether it lives, while a call is open
_CONNECTION_AGE_SECONDS = 30 * 60
_CONNECTION_AGE_GRACE_SECONDS = 5 * 60
_ADDRESS = re.compile(r"([A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\]):([0-9]{1,5})")
USER_AGENT = "goodnoise"  # no version: one more bit that tells devices apart


def service_config() -> str:
    """The retry policy as gRPC's JSON: UNAVAILABLE only; every method of this wire may run twice."""
    retry = {
        "maxAttempts": 4,
        "initialBackoff": "0.1s",
        "maxBackoff": "1s",
        "backoffMultiplier": 2,
        "retryableStatusCodes": ["UNAVAILABLE"],
    }
    services = [{"service": f"goodnoise.v1.{name}"} for name in ("BundleService", "HintService")]
    throttling = {"maxTokens": 10, "tokenRatio": 0.1}  # a cloud that is down is not asked ever more often
    return json.dumps(
        {"methodConfig": [{"name": services, "retryPolicy": retry}], "retryThrottling": throttling}
    )


def client_options(*, loopback: bool) -> Options:
    """Options of a device's channel.

    Args:
        loopback: the peer is on this machine.
    """
    return [
        # A peer cannot make the device hold more than this.
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
        # Channels share connections by default; a session that shall not be linked to another needs its own.
        ("grpc.use_local_subchannel_pool", 1),
        # A fixed text, the same for every device, before gRPC's own name and version.
        ("grpc.primary_user_agent", USER_AGENT),
        # Deadlines and retries are set here; a DNS TXT record must not replace them.
        ("grpc.service_config", service_config()),
        ("grpc.service_config_disable_resolution", 1),
        ("grpc.enable_retries", 1),
        # Finds a dead line in the middle of a download; none while idle, to let a phone's radio sleep.
        ("grpc.keepalive_time_ms", KEEPALIVE_SECONDS * 1000),
        ("grpc.keepalive_timeout_ms", 20_000),
        ("grpc.keepalive_permit_without_calls", 0),
        # A proxy from the environment is right for a remote cloud and wrong for one on this machine.
        ("grpc.enable_http_proxy", 0 if loopback else 1),
        # No channelz: nothing in the process needs a record of its connections.
        ("grpc.enable_channelz", 0),
    ]


def server_options() -> Options:
    """Options of every server of the project."""
    return [
        # Requests are tiny; the same wall as on the client keeps both sides honest.
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
        # Headers hold no more than a method, a deadline and a user agent.
        ("grpc.max_metadata_size", 8 << 10),
        # Allow the client's pings: half its period, since a ping may be early by a busy event loop.
        ("grpc.http2.min_recv_ping_interval_without_data_ms", KEEPALIVE_SECONDS * 500),
        ("grpc.http2.max_ping_strikes", 2),
        # Ask silent clients whether they live, so that a phone that left does not hold a place.
        ("grpc.keepalive_time_ms", 2 * KEEPALIVE_SECONDS * 1000),
        ("grpc.keepalive_timeout_ms", 20_000),
        # Connections end now and then, so that a balancer can spread them; calls in flight get a grace.
        ("grpc.max_connection_age_ms", _CONNECTION_AGE_SECONDS * 1000),
        ("grpc.max_connection_age_grace_ms", _CONNECTION_AGE_GRACE_SECONDS * 1000),
        # Two servers on one port would share its calls at random; better a clear error at the start.
        ("grpc.so_reuseport", 0),
        # Channelz would keep peers' addresses.
        ("grpc.enable_channelz", 0),
    ]


def host_port(address: str) -> str:
    """The address of a server, if it has the form HOST:PORT.

    Raises:
        GoodnoiseError: INVALID_INPUT.
    """
    found = _ADDRESS.fullmatch(address)
    if found is None or not 0 < int(found[2]) < 65536:
        raise GoodnoiseError(
            Code.INVALID_INPUT, f"address {address!r} is not HOST:PORT, such as cloud.example.org:443"
        )
    return address


def is_loopback(address: str) -> bool:
    """Whether `address` (host:port, or unix:PATH) is on this machine, where a connection needs no TLS."""
    if address.startswith("unix:"):
        return True
    host = address.rpartition(":")[0].strip("[]")
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
