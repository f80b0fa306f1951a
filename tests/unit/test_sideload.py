"""Installing a bundle from a folder on the device."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cloud_server.bundles.store import PublishedBundles
from edge_client.cli import app
from edge_client.sideload import install_folder
from edge_client.store import BundleStore
from shared.errors import Code, GoodnoiseError


@pytest.fixture
def published(tmp_path: Path, make_bundle: Callable[..., object]) -> Path:
    PublishedBundles(tmp_path / "published").publish(*make_bundle())
    return tmp_path / "published"


def test_the_folders_current_bundle_is_installed(
    published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOODNOISE_HOME", str(tmp_path / "home"))
    result = CliRunner().invoke(app, ["bundle", "install", str(published)])
    assert result.exit_code == 0, result.output
    bundle = BundleStore(tmp_path / "home").current()
    assert bundle.manifest == PublishedBundles(published).manifest("full")
    assert bundle.read("detector") == b"detector"


def test_an_older_bundle_may_be_installed_again(
    published: Path, tmp_path: Path, make_bundle: Callable[..., object]
) -> None:
    store = BundleStore(tmp_path / "home")
    PublishedBundles(tmp_path / "newer").publish(*make_bundle(version="2", created="2027-01-01T00:00:00Z"))
    install_folder(tmp_path / "newer", store, profile="full")
    assert install_folder(published, store, profile="full").manifest.version == "1"


def test_damaged_and_missing_bundles_are_refused_and_nothing_is_installed(
    published: Path, tmp_path: Path
) -> None:
    store = BundleStore(tmp_path / "home")
    with pytest.raises(GoodnoiseError, match="holds no bundle of profile 'phone'") as caught:
        install_folder(published, store, profile="phone")
    assert caught.value.code == Code.NOT_FOUND
    damaged = next((published / "objects").iterdir())
    damaged.write_bytes(b"x" * damaged.stat().st_size)
    with pytest.raises(GoodnoiseError) as caught:
        install_folder(published, store, profile="full")
    assert caught.value.code == Code.CORRUPT
    damaged.unlink()
    with pytest.raises(GoodnoiseError, match="is missing in"):
        install_folder(published, store, profile="full")
    assert store.usable() is None
