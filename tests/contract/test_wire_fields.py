"""Every field that a device can send to a cloud is listed here with its largest size. A new field fails.

So is every field of the CAPTCHA's requests: sites and visitors' apps send them; none has room for a photo.
And those of augmentation, the one service that takes images in: from owners of datasets; no device calls it.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from google.protobuf.descriptor import FieldDescriptor

from shared.levels.cluster import CLUSTERS
from shared.levels.signs import SIGN_BYTES
from shared.levels.sketch import SKETCH_BYTES
from shared.wire import augment, captcha, limits
from shared.wire.goodnoise.v1 import augment_pb2, bundle_pb2, captcha_pb2, edge_pb2, hint_pb2

ROOT = Path(__file__).resolve().parents[2]
PROTO, EDGE = ROOT / "proto" / "goodnoise" / "v1", ROOT / "edge_client"
# Largest size in bytes of the value itself; the last column says where it comes from.
ALLOWED = {
    "BundleService.GetMetadata": {"name": ("string", limits.METADATA_NAME_BYTES), "profile": ("string", 16)},
    "BundleService.FetchObject": {"sha256": ("bytes", limits.SHA256_BYTES), "offset": ("uint64", 8)},
    "HintService.Catalogue": {"bundle_version": ("string", limits.BUNDLE_VERSION_BYTES)},
    "HintService.Cluster": {"cluster": ("uint32", 1)},
    "HintService.Sketch": {"bits": ("bytes", SKETCH_BYTES)},
    "HintService.Sign": {"signs": ("bytes", SIGN_BYTES)},
}
# What a visitor, or a site's server for a visitor, can send: public names, an answer, a token, an address.
ALLOWED_CAPTCHA = {
    "CaptchaService.Issue": {
        "site_key": ("string", captcha.SITE_KEY_BYTES),
        "kind": ("enum", 1),
        "hostname": ("string", captcha.HOSTNAME_BYTES),
        "action": ("string", captcha.ACTION_BYTES),
        "cdata": ("string", captcha.CDATA_BYTES),
        "visitor_address": ("string", captcha.ADDRESS_BYTES),
        "language": ("string", captcha.LANGUAGE_BYTES),
    },
    "CaptchaService.GetImage": {
        "challenge_id": ("string", captcha.CHALLENGE_BYTES),
        "visitor_address": ("string", captcha.ADDRESS_BYTES),
    },
    "CaptchaService.GetAudio": {
        "challenge_id": ("string", captcha.CHALLENGE_BYTES),
        "visitor_address": ("string", captcha.ADDRESS_BYTES),
    },
    "CaptchaService.Answer": {
        "challenge_id": ("string", captcha.CHALLENGE_BYTES),
        "answer": ("string", captcha.ANSWER_BYTES),
        "visitor_address": ("string", captcha.ADDRESS_BYTES),
    },
    "CaptchaService.Verify": {
        "token": ("string", captcha.TOKEN_BYTES),
        "visitor_address": ("string", captcha.ADDRESS_BYTES),
        "idempotency_key": ("string", captcha.IDEMPOTENCY_BYTES),
    },
    "CaptchaService.GetReport": {},
}
# What an operator can send, on the operators' own address.
ALLOWED_ADMIN = {
    "CaptchaAdminService.CreateSite": {
        "name": ("string", captcha.NAME_BYTES),
        "hostnames": ("strings", captcha.HOSTNAMES * captcha.HOSTNAME_BYTES),
        "refuse_work": ("bool", 1),
    },
    "CaptchaAdminService.RotateSecret": {"site_key": ("string", captcha.SITE_KEY_BYTES)},
    "CaptchaAdminService.ListSites": {"page_size": ("uint32", 4), "page_token": ("string", 64)},
    "CaptchaAdminService.DisableSite": {"site_key": ("string", captcha.SITE_KEY_BYTES)},
    "CaptchaAdminService.EnableSite": {"site_key": ("string", captcha.SITE_KEY_BYTES)},
    "CaptchaAdminService.DeleteSite": {"site_key": ("string", captcha.SITE_KEY_BYTES)},
    "CaptchaAdminService.GetPoolDepth": {},
    "CaptchaAdminService.PublishReport": {"report": ("bytes", captcha.REPORT_BYTES)},
}
# What the owner of a dataset can send, to a server of its own: images are what it is for.
ALLOWED_AUGMENT = {
    "AugmentService.SubmitJob": {
        "order.key": ("string", augment.KEY_BYTES),
        "order.recipe": ("string", augment.RECIPE_BYTES),
        "order.dataset": ("string", augment.DATASET_BYTES),
        "order.images": ("uint32", 4),
        "order.include_originals": ("bool", 1),
        "image.content": ("bytes", 3 << 20),
        "image.label": ("string", augment.LABEL_BYTES),
        "image.group": ("string", augment.LABEL_BYTES),
        "image.name": ("string", augment.NAME_BYTES),
    },
    "AugmentService.GetJob": {"job_id": ("string", augment.JOB_ID_BYTES)},
    "AugmentService.ListJobs": {"page_size": ("uint32", 4), "page_token": ("string", 18)},
    "AugmentService.WatchJob": {
        "job_id": ("string", augment.JOB_ID_BYTES),
        "after_revision": ("uint64", 8),
    },
    "AugmentService.CancelJob": {"job_id": ("string", augment.JOB_ID_BYTES)},
    "AugmentService.DeleteJob": {"job_id": ("string", augment.JOB_ID_BYTES)},
    "AugmentService.ListResults": {
        "job_id": ("string", augment.JOB_ID_BYTES),
        "page_size": ("uint32", 4),
        "page_token": ("string", 18),
    },
    "AugmentService.FetchResults": {
        "job_id": ("string", augment.JOB_ID_BYTES),
        "file": ("uint64", 8),
        "offset": ("uint64", 8),
        "files": ("uint64", 8),
    },
}
# No app of a visitor needs to send more than this, token or photo.
MOST_CAPTCHA = 4096
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
    FieldDescriptor.TYPE_ENUM: "enum",
    FieldDescriptor.TYPE_BOOL: "bool",
}


def methods(*modules):
    for module in modules or (bundle_pb2, hint_pb2):
        for service in module.DESCRIPTOR.services_by_name.values():
            for method in service.methods:
                yield f"{service.name}.{method.name}", method


def kind_of(field):
    return TYPES.get(field.type, "none") + ("s" if field.is_repeated else "")


def leaves(message, above=""):
    """Fields by their path: those of a message inside a message are told with its name."""
    for field in message.fields:
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            yield from leaves(field.message_type, f"{above}{field.name}.")
        else:
            yield f"{above}{field.name}", kind_of(field)


def fields_of(found):
    return {
        name: {field.name: kind_of(field) for field in method.input_type.fields} for name, method in found
    }


def listed(*tables):
    return {
        name: {field: kind for field, (kind, _) in fields.items()}
        for table in tables
        for name, fields in table.items()
    }


def test_there_is_no_service_that_is_not_listed():
    modules = (augment_pb2, bundle_pb2, captcha_pb2, hint_pb2)
    services = {name for m in modules for name in m.DESCRIPTOR.services_by_name}
    tables = (ALLOWED, ALLOWED_CAPTCHA, ALLOWED_ADMIN, ALLOWED_AUGMENT)
    assert services == {name.partition(".")[0] for table in tables for name in table}
    # The only other service is the device's own, on the device's own socket.
    protos = {path.stem for path in PROTO.glob("*.proto")}
    assert protos == {"augment", "bundle", "hint", "captcha", "edge"}
    assert list(edge_pb2.DESCRIPTOR.services_by_name) == ["EdgeService"]


def test_every_field_of_every_request_is_listed():
    assert fields_of(methods()) == listed(ALLOWED)


def test_every_field_of_the_captchas_requests_is_listed():
    assert fields_of(methods(captcha_pb2)) == listed(ALLOWED_CAPTCHA, ALLOWED_ADMIN)


def test_every_field_of_augmentations_requests_is_listed():
    found = {name: dict(leaves(method.input_type)) for name, method in methods(augment_pb2)}
    assert found == listed(ALLOWED_AUGMENT)


def test_the_service_that_takes_images_is_out_of_a_devices_reach():
    from cloud_server.rpc.server import SERVICES

    # No server that devices call offers it, and no part of the device can say its words.
    assert not any("Augment" in name for name in SERVICES)
    parts = [path.stem for path in EDGE.glob("*.py")]
    assert "channel" in parts
    imports = "; ".join(f"import edge_client.{part}" for part in parts if part != "__main__")
    code = f"import sys; {imports}; print([name for name in sys.modules if 'augment' in name])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", sorted(ALLOWED_CAPTCHA))
def test_a_visitors_request_is_small_and_has_no_bytes_in_it(name):
    fields = ALLOWED_CAPTCHA[name].values()
    assert sum(size for _, size in fields) <= MOST_CAPTCHA
    assert {kind for kind, _ in fields} <= {"string", "enum"}


def test_no_request_streams_repeats_nests_or_extends():
    for name, method in [*methods(), *((n, m) for n, m in methods(captcha_pb2) if "Admin" not in n)]:
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
