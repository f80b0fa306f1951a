"""Limits, options and arrays of the wire."""

import contextlib
import ipaddress
import json
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from shared.errors import Code, GoodnoiseError
from shared.wire import captcha, limits, options
from shared.wire.arrays import array_from_bytes, array_to_bytes

PROTO = Path(__file__).resolve().parents[2] / "proto" / "goodnoise" / "v1"


def test_the_limits_are_those_of_the_protos():
    text = (PROTO / "bundle.proto").read_text() + (PROTO / "hint.proto").read_text()
    assert "at most 256 KiB" in text
    assert limits.PART_BYTES == 256 * 1024
    assert re.findall(r"at most (\d+) bytes", text) == [
        str(limits.METADATA_NAME_BYTES),
        str(limits.PROFILE_NAME_BYTES),
        str(limits.BUNDLE_VERSION_BYTES),
    ]
    assert "at most 1 MiB" in text
    assert limits.MAX_MANIFEST_BYTES == 1 << 20


def test_the_limits_of_the_captcha_are_those_of_its_proto():
    text = (PROTO / "captcha.proto").read_text()
    requests = dict(re.findall(r"^message (\w+Request) \{\n(.*?)^\}", text, re.MULTILINE | re.DOTALL))
    sizes = {
        "CreateSiteRequest.name": captcha.NAME_BYTES,
        "IssueRequest.site_key": captcha.SITE_KEY_BYTES,
        "IssueRequest.hostname": captcha.HOSTNAME_BYTES,
        "IssueRequest.action": captcha.ACTION_BYTES,
        "IssueRequest.cdata": captcha.CDATA_BYTES,
        "IssueRequest.language": captcha.LANGUAGE_BYTES,
        "IssueRequest.visitor_address": captcha.ADDRESS_BYTES,
        "GetImageRequest.challenge_id": captcha.CHALLENGE_BYTES,
        "AnswerRequest.answer": captcha.ANSWER_BYTES,
        "VerifyRequest.token": captcha.TOKEN_BYTES,
        "VerifyRequest.idempotency_key": captcha.IDEMPOTENCY_BYTES,
    }
    for name, size in sizes.items():
        message, _, field = name.partition(".")
        comment = re.search(rf"((?:  //[^\n]*\n)+)  (?:repeated )?string {field} = ", requests[message])
        assert comment is not None, name
        assert f"at most {size} bytes" in " ".join(comment[1].replace("//", "").lower().split()), name
    assert "at most 1 MiB" in requests["PublishReportRequest"]
    assert captcha.REPORT_BYTES == 1 << 20
    assert f"0 stands for {captcha.PAGE_DEFAULT}" in requests["ListSitesRequest"]
    assert f"more than {captcha.PAGE_MOST}" in requests["ListSitesRequest"]
    assert f"At most {captcha.HOSTNAMES}," in requests["CreateSiteRequest"]


TEXTS = st.text(max_size=80) | st.from_regex(r"(\*\.)?[a-z0-9.:\[\]-]{1,20}", fullmatch=True)


@given(TEXTS)
def test_what_passes_as_an_address_or_host_name_is_one(text):
    with contextlib.suppress(GoodnoiseError):
        address = captcha.address("a", text)
        assert address == ("" if not text else str(ipaddress.ip_address(address)))
        assert "%" not in address
    with contextlib.suppress(GoodnoiseError):
        assert captcha.hostnames("h", [text, text]) == (text,)
        assert text == text.lower()
        assert "/" not in text
        assert not text.endswith(".")


@pytest.mark.parametrize(
    ("content", "good"),
    [
        (b"{}", True),
        (b'{"a": [1, "\xc3\xbc"]}', True),
        (b"", False),
        (b"[]", False),
        (b"1", False),
        (b"{", False),
        (b'{"a": NaN}', False),
        (b'{"a": "\xff"}', False),
        (b"[" * 100_000, False),
        (b'{"a": "' + b"x" * (1 << 20) + b'"}', False),
    ],
)
def test_a_report_is_one_json_object_of_a_mebibyte_at_most(content, good):
    with contextlib.nullcontext() if good else pytest.raises(GoodnoiseError) as caught:
        assert captcha.report("report", content) == content
    assert good or (caught.value.code, caught.value.details) == (Code.INVALID_INPUT, {"field": "report"})


def test_the_largest_answers_fit_into_a_message():
    assert limits.MAX_MANIFEST_BYTES + limits.PART_BYTES < limits.MAX_MESSAGE_BYTES
    entry = 2 + 128 + 2 + 2 + 10 + 2 + limits.SHA256_BYTES + 8
    assert limits.CATALOGUE_ENTRIES * entry < limits.MAX_MESSAGE_BYTES


@given(st.text(max_size=80))
def test_a_checked_name_is_safe_as_a_file_name(text):
    for check in (limits.metadata_name, limits.bundle_version):
        with contextlib.suppress(GoodnoiseError):
            assert check(text) == text
            assert set(text) <= set("abcdefghijklmnopqrstuvwxyz0123456789-.")
            assert len(text.encode()) <= limits.METADATA_NAME_BYTES


def test_the_client_pings_less_often_than_the_server_allows():
    client = dict(options.client_options(loopback=False))
    server = dict(options.server_options())
    assert client["grpc.keepalive_time_ms"] > server["grpc.http2.min_recv_ping_interval_without_data_ms"]
    assert client["grpc.keepalive_permit_without_calls"] == 0


def test_only_an_unreachable_peer_is_asked_again():
    config = json.loads(options.service_config())
    assert [m["retryPolicy"]["retryableStatusCodes"] for m in config["methodConfig"]] == [["UNAVAILABLE"]]
    assert {n["service"] for n in config["methodConfig"][0]["name"]} == {
        "goodnoise.v1.BundleService",
        "goodnoise.v1.HintService",
    }


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("127.0.0.1:1", True),
        ("127.8.8.8:1", True),
        ("[::1]:1", True),
        ("localhost:1", True),
        ("unix:/tmp/socket", True),
        ("0.0.0.0:1", False),
        ("[::]:1", False),
        ("192.168.0.1:1", False),
        ("localhost.example.org:1", False),
        ("127.0.0.1.example.org:1", False),
    ],
)
def test_loopback_is_told_from_the_rest(address, expected):
    assert options.is_loopback(address) is expected


ARRAYS = hnp.arrays(
    st.sampled_from([np.int8, np.uint8, np.float32, np.float64, np.int64]),
    hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5),
)


@given(ARRAYS)
def test_an_array_comes_back_as_it_was(array):
    content = array_to_bytes(array)
    back = array_from_bytes(content, dtype=array.dtype, shape=tuple(None for _ in array.shape), what="array")
    np.testing.assert_array_equal(back, array)
    assert back.dtype == array.dtype
    assert back.flags.writeable
    assert array_to_bytes(back) == content


def test_a_transposed_array_comes_back_as_it_looked():
    array = np.arange(6, dtype=np.int8).reshape(2, 3).T
    np.testing.assert_array_equal(
        array_from_bytes(array_to_bytes(array), dtype=np.int8, shape=(3, 2), what="a"), array
    )


@pytest.mark.parametrize(
    ("dtype", "shape"),
    [(np.uint8, (3, 4)), (np.int8, (4, 3)), (np.int8, (3, 4, 1)), (np.int8, (3, None, None))],
)
def test_another_type_or_shape_is_refused(dtype, shape):
    content = array_to_bytes(np.zeros((3, 4), np.int8))
    with pytest.raises(GoodnoiseError, match=r"hint cannot be used .*expected") as caught:
        array_from_bytes(content, dtype=dtype, shape=shape, what="hint")
    assert caught.value.code is Code.CORRUPT


def header(shape):
    text = f"{{'descr': '|i1', 'fortran_order': False, 'shape': {shape}, }}"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x93NUMPY",
        b"no array",
        header("(1000000, 1000000, 1000000)"),
        header("(-1, -4)") + b"1234",
        header("(2, 2)") + b"12345",
        header("(2, 2)") + b"123",
        header("(2, __import__('os'))"),
        b"\x93NUMPY\x02\x00" + b"\xff" * 50,
    ],
)
def test_bytes_that_are_no_such_array_are_refused(content):
    with pytest.raises(GoodnoiseError) as caught:
        array_from_bytes(content, dtype=np.int8, shape=(None, None), what="hint")
    assert caught.value.code is Code.CORRUPT


def test_objects_do_not_travel():
    with pytest.raises(ValueError, match="objects"):
        array_to_bytes(np.array([print], dtype=object))
