"""The bundle's manifest: what a cloud publishes to its devices, as frozen values and as JSON.

Objects are addressed by sha256, so an update moves only what changed. The manifest names every object once;
roles refer to objects by name.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from shared.cards import Card, card_from_dict, card_to_dict
from shared.errors import Code, GoodnoiseError

__all__ = [
    "FORMAT",
    "MANIFEST_NAME",
    "MAX_MANIFEST_BYTES",
    "MAX_OBJECT_BYTES",
    "PROFILE_BYTES",
    "BundleObject",
    "Hint",
    "Manifest",
    "Member",
    "Profile",
    "Role",
    "created_at",
    "manifest_from_json",
    "manifest_to_json",
    "sha256_hex",
]

FORMAT = 1
MANIFEST_NAME = "manifest.json"
MAX_MANIFEST_BYTES = 1 << 20
MAX_OBJECT_BYTES = 64 << 20

Profile = Literal["phone", "full"]
Role = Literal["surrogate", "checker", "detector"]
# The most that a profile's objects may weigh together.
PROFILE_BYTES: dict[str, int] = {"phone": 15_000_000, "full": 40_000_000}

_SHA = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[a-z0-9][a-z0-9./-]{0,127}")
_VERSION = re.compile(r"[0-9a-z][0-9a-z.-]{0,31}")


@dataclass(frozen=True)
class BundleObject:
    """One file of the bundle: relative name, hex sha256, size in bytes."""

    name: str
    sha256: str
    size: int


@dataclass(frozen=True)
class Member:
    """A network of the bundle.

    A surrogate's object is a gradient graph, a checker's a forward graph, the detector's the detector's file.
    `margin` is how far behind its threshold the check wants a score: in units of the card's metric, >= 0,
    calibrated by leaving one recogniser out; `calibration` says on what.
    """

    role: Role
    card: Card
    object_name: str
    margin: float = 0.0
    calibration: str = ""


@dataclass(frozen=True)
class Hint:
    """A hint. Kind `universal`: an int8 `.npy` of shape 3 S S, levels of 8 bits, in the frame named."""

    name: str
    kind: Literal["universal"]
    object_name: str
    frame: str
    trained_on: str


@dataclass(frozen=True)
class Manifest:
    """A bundle. `scores` holds measured figures by name, shown as they are; `created` is ISO 8601, UTC."""

    version: str
    profile: Profile
    created: str
    members: tuple[Member, ...]
    hints: tuple[Hint, ...]
    objects: tuple[BundleObject, ...]
    accepted_licences: tuple[str, ...]
    scores: Mapping[str, Any]

    def object_of(self, name: str) -> BundleObject:
        """The object of this name.

        Raises:
            GoodnoiseError: NOT_FOUND.
        """
        for item in self.objects:
            if item.name == name:
                return item
        raise GoodnoiseError(Code.NOT_FOUND, f"bundle {self.version} holds no object {name!r}")

    def with_role(self, role: Role) -> tuple[Member, ...]:
        """Members of this role, in the manifest's order."""
        return tuple(member for member in self.members if member.role == role)

    @property
    def size(self) -> int:
        """All objects together, in bytes."""
        return sum(item.size for item in self.objects)


def sha256_hex(content: bytes) -> str:
    """Hex sha256."""
    return hashlib.sha256(content).hexdigest()


def created_at(manifest: Manifest) -> datetime:
    """When the bundle was made, with its time zone; a time without one counts as UTC.

    Raises:
        GoodnoiseError: CORRUPT when `created` is no ISO 8601 time.
    """
    try:
        created = datetime.fromisoformat(manifest.created)
    except ValueError as error:
        raise _corrupt(f"created is {manifest.created[:40]!r}") from error
    return created if created.tzinfo else created.replace(tzinfo=UTC)


def manifest_to_json(manifest: Manifest) -> bytes:
    """Canonical JSON: sorted keys, UTF-8, one trailing newline; the same manifest gives the same bytes."""
    raw = {
        "format": FORMAT,
        "version": manifest.version,
        "profile": manifest.profile,
        "created": manifest.created,
        "members": [
            {
                "role": m.role,
                "card": card_to_dict(m.card),
                "object": m.object_name,
                "margin": m.margin,
                "calibration": m.calibration,
            }
            for m in manifest.members
        ],
        "hints": [
            {
                "name": h.name,
                "kind": h.kind,
                "object": h.object_name,
                "frame": h.frame,
                "trained_on": h.trained_on,
            }
            for h in manifest.hints
        ],
        "objects": [{"name": o.name, "sha256": o.sha256, "size": o.size} for o in manifest.objects],
        "accepted_licences": list(manifest.accepted_licences),
        "scores": dict(manifest.scores),
    }
    return (json.dumps(raw, sort_keys=True, indent=1, ensure_ascii=False) + "\n").encode()


def manifest_from_json(content: bytes) -> Manifest:
    """Parse and check a manifest from a peer or a disk.

    Raises:
        GoodnoiseError: CORRUPT naming what is wrong; PRECONDITION when the format is newer than this program.
    """
    if len(content) > MAX_MANIFEST_BYTES:
        raise _corrupt(f"it has {len(content)} bytes, at most {MAX_MANIFEST_BYTES} are allowed")
    try:
        raw = json.loads(content)
        if raw["format"] != FORMAT:
            raise GoodnoiseError(
                Code.PRECONDITION,
                f"bundle format {raw['format']!r} is unknown to this version, which reads {FORMAT}; "
                "update goodnoise",
            )
        manifest = Manifest(
            version=_text(raw, "version", _VERSION),
            profile=raw["profile"],
            created=str(raw["created"]),
            members=tuple(_member(m) for m in raw["members"]),
            hints=tuple(
                Hint(str(h["name"]), h["kind"], str(h["object"]), str(h["frame"]), str(h["trained_on"]))
                for h in raw["hints"]
            ),
            objects=tuple(_object(o) for o in raw["objects"]),
            accepted_licences=tuple(str(name) for name in raw["accepted_licences"]),
            scores=dict(raw["scores"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError, OverflowError) as error:
        raise _corrupt(f"{type(error).__name__}: {error}") from error
    _check_references(manifest)
    return manifest


def _corrupt(reason: str) -> GoodnoiseError:
    return GoodnoiseError(Code.CORRUPT, f"the bundle's manifest cannot be used ({reason}); fetch it again")


def _text(raw: Mapping[str, Any], key: str, pattern: re.Pattern[str]) -> str:
    value = raw[key]
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise ValueError(f"{key} is {value!r}")
    return value


def _object(raw: Mapping[str, Any]) -> BundleObject:
    name = _text(raw, "name", _NAME)
    if ".." in name:
        raise ValueError(f"name is {name!r}")
    size = raw["size"]
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= MAX_OBJECT_BYTES:
        raise ValueError(f"size of {name} is {size!r}")
    return BundleObject(name, _text(raw, "sha256", _SHA), size)


def _member(raw: Mapping[str, Any]) -> Member:
    margin = float(raw["margin"])
    if raw["role"] not in ("surrogate", "checker", "detector") or not margin >= 0.0:
        raise ValueError(f"role {raw['role']!r}, margin {margin!r}")
    card = card_from_dict(raw["card"], source=MANIFEST_NAME)
    return Member(raw["role"], card, str(raw["object"]), margin, str(raw.get("calibration", "")))


def _check_references(manifest: Manifest) -> None:
    names = [item.name for item in manifest.objects]
    if len(set(names)) != len(names):
        raise _corrupt("two objects have one name")
    if manifest.profile not in PROFILE_BYTES:
        raise _corrupt(f"profile is {manifest.profile!r}")
    wanted = [m.object_name for m in manifest.members] + [h.object_name for h in manifest.hints]
    missing = [name for name in wanted if name not in names]
    if missing:
        raise _corrupt(f"object {missing[0]!r} is named but not listed")
    if len(manifest.with_role("detector")) != 1 or not manifest.with_role("surrogate"):
        raise _corrupt("a bundle needs one detector and at least one surrogate")
