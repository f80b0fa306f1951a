"""Build a bundle from the zoo and install it into a device's folder, for tests without torch and onnx.

Run by the full environment; the tests beside it are run by the device's own.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from cloud_server.bundles.build import Order, build_bundle
from cloud_server.bundles.store import PublishedBundles
from edge_client.store import BundleStore
from shared.bundle import Manifest, manifest_to_json

ACCEPTED = ("mobilefacenet-512", "mobilefacenet-192", "sface-student")


def install(home: Path, *, profile: str = "phone") -> Manifest:
    """Build the profile and put it into the device's store under `home`."""
    store = BundleStore(home)
    with tempfile.TemporaryDirectory() as scratch:
        published = PublishedBundles(Path(scratch))
        manifest = build_bundle(Order(profile=profile, accepted_licences=ACCEPTED), Path(scratch)).manifest
        with store.locked():
            for item in store.missing(manifest):
                partial = store.partial(item)
                with partial:
                    partial.append(published.object_path(item.sha256).read_bytes())
                partial.finish()
            store.install(manifest_to_json(manifest))
    return manifest


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--profile", default="phone")
    options = parser.parse_args()
    install(options.home, profile=options.profile)
