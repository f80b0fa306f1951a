"""What can be handed to the device's one network module: a proof over its annotations and its checks."""

import dataclasses
import inspect
import pathlib
import types
import typing

import numpy as np
import pytest

from edge_client import channel
from edge_client.channel import (
    CataloguePayload,
    ClusterPayload,
    Endpoint,
    MetadataPayload,
    ObjectPayload,
    SignPayload,
    SketchPayload,
)
from shared.errors import GoodnoiseError

# All that may be reached from a parameter: texts and numbers that the payloads check, and None.
LEAVES = {str, int, type(None)}
# And bytes of these lengths, each from the payload of one wire level.
LENGTHS = {"SketchPayload": 2, "SignPayload": 4704}
# Values that come back from a cloud: nothing that is sent is made from them.
ANSWERS = {"CatalogueAnswer", "CatalogueHint", "ClusterAnswer"}
# What Python itself hands to __exit__.
EXIT = {"kind", "error", "trace"}


def public_callables():
    for name in channel.__all__:
        item = getattr(channel, name)
        yield name, item
        if inspect.isclass(item):
            for method, function in inspect.getmembers(item, inspect.isfunction):
                if not method.startswith("_") or method in ("__init__", "__enter__", "__exit__"):
                    yield f"{name}.{method}", function


def parameters(function):
    target = function.__init__ if inspect.isclass(function) else function
    hints = typing.get_type_hints(target, include_extras=True)
    for name in inspect.signature(target).parameters:
        if name != "self" and not (target.__name__ == "__exit__" and name in EXIT):
            yield name, hints[name]


def leaves(annotation, seen=()):
    if annotation in seen:
        return
    origin = typing.get_origin(annotation)
    if origin is typing.Literal:
        yield from (type(value) for value in typing.get_args(annotation))
    elif origin in (typing.Union, types.UnionType, tuple):
        for part in (arg for arg in typing.get_args(annotation) if arg is not ...):
            yield from leaves(part, (*seen, annotation))
    elif dataclasses.is_dataclass(annotation):
        assert annotation.__dataclass_params__.frozen, annotation
        for hint in typing.get_type_hints(annotation, include_extras=True).values():
            yield from leaves(hint, (*seen, annotation))
    elif origin is typing.Annotated:
        base, *extras = typing.get_args(annotation)
        assert base is bytes
        assert len(extras) == 1
        yield (bytes, extras[0].count)
    else:
        yield annotation


def reached():
    found = {name: set() for name, _ in public_callables() if name.split(".")[0] not in ANSWERS}
    for name, function in public_callables():
        if name in found:
            for _, annotation in parameters(function):
                found[name] |= set(leaves(annotation))
    return found


def test_no_parameter_can_hold_a_photo():
    found = reached()
    assert set.union(*found.values()) <= LEAVES | {(bytes, length) for length in LENGTHS.values()}, found
    assert found["Cloud.fetch"] == {str, int}  # the walk reached the payloads
    assert found["Cloud.metadata"] == {str}
    assert found["Cloud.cluster"] == {int}


def test_bytes_pass_at_two_levels_only_each_with_its_one_length():
    found = reached()
    holding = {name: kinds for name, kinds in found.items() if kinds - LEAVES}
    assert holding == {
        "SketchPayload": {(bytes, 2)},
        "SketchPayload.__init__": {(bytes, 2)},
        "SignPayload": {(bytes, 4704)},
        "SignPayload.__init__": {(bytes, 4704)},
        "Cloud.sketch": {(bytes, 2)},
        "Cloud.sign": {(bytes, 4704)},
    }


@pytest.mark.parametrize("kind", [SketchPayload, SignPayload])
def test_a_length_that_is_stated_is_held(kind):
    (field,) = dataclasses.fields(kind)
    length = LENGTHS[kind.__name__]
    kind(**{field.name: bytes(length)})
    for wrong in (0, 1, length - 1, length + 1, 37_632, 100_000):
        with pytest.raises(GoodnoiseError):
            kind(**{field.name: bytes(wrong)})


def test_only_the_module_of_hints_makes_the_payloads_of_the_levels():
    names = ("ClusterPayload", "SketchPayload", "SignPayload")
    folder = pathlib.Path(channel.__file__).parent
    users = {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*.py")
        if any(name in path.read_text() for name in names)
    }
    assert users == {"channel.py", "hints.py"}


def test_the_walk_would_find_a_photo():
    @dataclasses.dataclass(frozen=True)
    class Smuggling:
        inner: tuple[str, bytes | None]
        pixels: np.ndarray

    assert {bytes, np.ndarray} <= set(leaves(Smuggling))


def test_everything_public_is_listed():
    defined = {
        name
        for name, item in vars(channel).items()
        if getattr(item, "__module__", None) == channel.__name__ and not name.startswith("_")
    }
    assert defined == set(channel.__all__)


@pytest.mark.parametrize(
    "make",
    [
        lambda: CataloguePayload(bundle_version="iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAA"),
        lambda: CataloguePayload(bundle_version="holiday photo.jpg"),
        lambda: ClusterPayload(cluster=16),
        lambda: ClusterPayload(cluster=-1),
        lambda: ClusterPayload(cluster=0xFFD8FFE0),
        lambda: MetadataPayload(profile="holiday"),
        lambda: MetadataPayload(name="holiday.jpg", profile="full"),
        lambda: MetadataPayload(name="manifest.json", profile="full"),
        lambda: MetadataPayload(name="20221010123456.root.json", profile="full"),
        lambda: ObjectPayload(sha256="photo", offset=0, size=1),
        lambda: ObjectPayload(sha256="A" * 64, offset=0, size=1),
        lambda: ObjectPayload(sha256="0" * 64, offset=2, size=1),
        lambda: ObjectPayload(sha256="0" * 64, offset=-1, size=1),
        lambda: ObjectPayload(sha256="0" * 64, offset=0, size=1 << 40),
    ],
)
def test_texts_and_numbers_are_checked_when_a_payload_is_made(make):
    with pytest.raises((ValueError, GoodnoiseError)):
        make()


@pytest.mark.parametrize(
    ("address", "ca", "tls"),
    [
        ("127.0.0.1:1", None, False),
        ("127.0.0.1:1", "ca.pem", True),
        ("[::1]:1", None, False),
        ("localhost:1", None, False),
        ("cloud.example.org:443", None, True),
        ("10.0.0.1:1", None, True),
        ("0.0.0.0:1", None, True),
        ("localhost.example.org:1", None, True),
    ],
)
def test_outside_loopback_there_is_always_tls(address, ca, tls):
    assert Endpoint(address=address, ca=ca).tls is tls
