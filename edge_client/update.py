"""Fetch the current bundle of a cloud: what is missing, resumed where it was cut off, proven, swapped whole.

What the cloud learns: the version that is installed, the profile asked for, which public objects are missing.
Integrity rests on signed metadata (`trust`), which names the manifest, which names every object by sha256.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edge_client.channel import CataloguePayload, Cloud, Endpoint, ObjectPayload
from edge_client.store import BundleStore
from edge_client.trust import trusted_manifest
from shared.bundle import PROFILE_BYTES, BundleObject, Manifest, Profile, manifest_from_json
from shared.errors import Code, GoodnoiseError
from shared.wire.limits import profile_name

__all__ = ["UpdateResult", "check_manifest", "update"]

# A broken stream that brought this much is gone on with at once; one that brought less is an error.
_WORTH_RESUMING = 64 << 10


@dataclass(frozen=True)
class UpdateResult:
    """What an update did.

    Args:
        version: the version installed now.
        fetched_bytes: bytes of objects that came over the network this time.
        reused_bytes: bytes of objects that were here already, beginnings of cut-off downloads among them.
        changed: whether another bundle is installed than before.
        new_hints: names of the hints that the cloud's catalogue lists as newer.
    """

    version: str
    fetched_bytes: int
    reused_bytes: int
    changed: bool
    new_hints: tuple[str, ...] = ()


OnProgress = Callable[[int, int], None]  # bytes that came, bytes that were missing


def update(
    cloud: str,
    store: BundleStore,
    *,
    profile: Profile = "full",
    ca: Path | str | None = None,
    root: bytes | None = None,
    trust_first_root: bool = False,
    on_progress: OnProgress | None = None,
    allow_rollback: bool = False,
) -> UpdateResult:
    """Install the bundle that a cloud publishes now.

    An exception from `on_progress` stops the update; what came so far is kept for the next one.

    Args:
        cloud: HOST:PORT; anywhere but on loopback over TLS.
        store: where bundles are kept.
        profile: which bundle.
        ca: file with the certificates to trust, PEM; None for those that gRPC ships.
        root: content of the operator's root.json; None for the root that is remembered.
        trust_first_root: without either, believe the one that the cloud sends.
        on_progress: told, after each part, the bytes that came and the bytes that were missing at first.
        allow_rollback: accept a bundle made before one that was installed here, such as another operator's.
            It waives nothing of what signed metadata refuses.

    Raises:
        GoodnoiseError: UNAVAILABLE or DEADLINE (what came is kept), CORRUPT for a cloud that breaks its own
            announcement, PRECONDITION for an older bundle, EXHAUSTED for a full disk, INVALID_INPUT for bad
            arguments; and as of `trust.trusted_manifest`.
    """
    tell = on_progress or _silent
    profile_name(profile)
    endpoint = Endpoint(address=cloud, ca=str(ca) if ca else None)
    with store.locked(), Cloud(endpoint) as session:
        before = store.usable()
        version = before.manifest.version if before else ""
        newer = session.catalogue(CataloguePayload(bundle_version=version))
        content = trusted_manifest(
            session, store, profile=profile, root=root, trust_first_root=trust_first_root
        )
        manifest = check_manifest(content, profile=profile)
        if not allow_rollback:
            store.refuse_rollback(manifest)
        fetched = _fetch_missing(session, store, manifest, tell)
        store.install(content, allow_rollback=allow_rollback)
    return UpdateResult(
        version=manifest.version,
        fetched_bytes=fetched,
        reused_bytes=_distinct_bytes(manifest) - fetched,
        changed=before is None or before.manifest != manifest,
        new_hints=tuple(hint.name for hint in newer.hints),
    )


def check_manifest(content: bytes, *, profile: Profile) -> Manifest:
    """Check form and limits of a manifest, before anything it names is fetched.

    Raises:
        GoodnoiseError: CORRUPT for a manifest that is malformed, of another profile or too large in sum.
    """
    manifest = manifest_from_json(content)
    if manifest.profile != profile:
        raise GoodnoiseError(
            Code.CORRUPT,
            f"asked for profile {profile!r}, the cloud sent {manifest.profile!r}; tell its operator",
        )
    if manifest.size > PROFILE_BYTES[profile]:
        raise GoodnoiseError(
            Code.CORRUPT,
            f"bundle {manifest.version} has {manifest.size} bytes, profile {profile!r} allows at most "
            f"{PROFILE_BYTES[profile]}; tell the cloud's operator",
        )
    return manifest


def _fetch_missing(session: Cloud, store: BundleStore, manifest: Manifest, tell: OnProgress) -> int:
    """Fetch what is missing; returns the bytes that came over the network."""
    missing = store.missing(manifest)
    here = {item.sha256: store.partial(item).size for item in missing}
    total = sum(item.size - here[item.sha256] for item in missing)
    store.require_space(total)
    tell(0, total)
    done = 0
    for item in missing:
        done = _fetch_object(session, store, item, tell=lambda count: tell(count, total), done=done)
    return done


def _fetch_object(
    session: Cloud, store: BundleStore, item: BundleObject, *, tell: Callable[[int], None], done: int
) -> int:
    """Fetch one object, going on where an earlier try was cut off; returns `done` and what came."""
    partial = store.partial(item)
    resumed = partial.size > 0
    while not partial.whole:
        begun = partial.size
        payload = ObjectPayload(sha256=item.sha256, offset=begun, size=item.size)
        try:
            with partial:
                for part in session.fetch(payload):
                    partial.append(part)
                    done += len(part)
                    tell(done)
        except GoodnoiseError as error:
            broken = error.code in (Code.UNAVAILABLE, Code.DEADLINE)
            if not broken or partial.size - begun < _WORTH_RESUMING:
                raise
        else:
            break
    try:
        partial.finish()
    except GoodnoiseError as error:
        if error.code is not Code.CORRUPT or not resumed:
            raise
        # The fault may lie in the beginning that was here, which is gone now: fetch the whole once.
        return _fetch_object(session, store, item, tell=tell, done=done)
    return done


def _distinct_bytes(manifest: Manifest) -> int:
    return sum({item.sha256: item.size for item in manifest.objects}.values())


def _silent(_done: int, _total: int) -> None:
    """Tell nobody."""
