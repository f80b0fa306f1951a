"""Every field that a device can send to a cloud is listed here with its largest size. A new field fails."""

from __future__ import annotations

import pytest
from google.protobuf.descriptor import FieldDescriptor

from shared.levels.cluster import CLUSTERS
from shared.levels.signs import SIGN_BYTES
from shared.levels.sketch import SKETCH_BYTES
from shared.wire import limits
from shared.wire.goodnoise.v1 import bundle_pb2, hint_pb2

# Largest size in bytes of the value itself; the last column says where it comes from.
ALLOWED = {
    "BundleService.GetMetadata": {"name": ("string", limits.METADATA_NAME_BYTES), "profile": ("string", 16)},
    "BundleService.FetchObject": {"sha256": ("bytes", limits.SHA256_BYTES), "offset": ("uint64", 8)},
    "HintService.Catalogue": {"bundle_version": ("string", limits.BUNDLE_VERSION_BYTES)},
    "HintService.Cluster": {"cluster": ("uint32", 1)},
    "HintService.Sketch": {"bits": ("bytes", SKETCH_BYTES)},
    "HintService.Sign": {"signs": ("bytes", SIGN_BYTES)},
}
# The whole request of a level, serialised: design.md, "Wire levels".
LARGEST = {
    "HintService.Catalogue": 64,
    "HintService.Cluster": 2,
    "HintService.Sketch": 128,
    "HintService.Sign": 4704 + 4,
}
TYPES = {
    FieldDescriptor.TYPE_STRING: "string",
    FieldDescriptor.TYPE_BYTES: "bytes",
    FieldDescriptor.TYPE_UINT32: "uint32",
    FieldDescriptor.TYPE_UINT64: "uint64",
}


def methods():
    for module in (bundle_pb2, hint_pb2):
        for service in module.DESCRIPTOR.services_by_name.values():
            for method in service.methods:
                yield f"{service.name}.{method.name}", method


def test_every_field_of_every_request_is_listed():
    found = {
        name: {field.name: TYPES.get(field.type) for field in method.input_type.fields}
        for name, method in methods()
    }
    assert found == {
        name: {field: kind for field, (kind, _) in fields.items()} for name, fields in ALLOWED.items()
    }


def test_no_request_streams_repeats_nests_or_extends():
    for name, method in methods():
        assert not method.client_streaming, name
        request = method.input_type
        assert not request.nested_types, name
        assert not request.is_extendable, name
        assert not request.oneofs, name
        assert not any(field.is_repeated for field in request.fields), name


@pytest.mark.parametrize("name", sorted(LARGEST))
def test_the_largest_request_of_a_level_is_as_small_as_the_design_says(name):
    method = dict(methods())[name]
    request = getattr(hint_pb2, method.input_type.name)()
    for field, (kind, size) in ALLOWED[name].items():
        value = {"string": "v" * size, "bytes": b"\xff" * size, "uint32": CLUSTERS - 1}[kind]
        setattr(request, field, value)
    assert 0 < request.ByteSize() <= LARGEST[name]
