"""Wire level `pull`: nothing that a device sends depends on the photo. Every byte is recorded."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner

from cloud_server.bundles.build import Order, build_bundle
from edge_client.cli import app

ACCEPTED = ("mobilefacenet-512", "mobilefacenet-192", "sface-student")


def protect(photo: Path, cloud: str, home: Path, out: Path, *more: str) -> dict[str, Any]:
    arguments = [
        "protect",
        str(photo),
        "-o",
        str(out),
        "--cloud",
        cloud,
        "--profile",
        "phone",
        "--budget",
        "45dB",
        "--json",
        *more,
    ]
    result = CliRunner().invoke(app, arguments, env={"GOODNOISE_HOME": str(home)})
    assert result.exit_code in (0, 1), result.stderr
    found: dict[str, Any] = json.loads(result.stdout)["photos"][0]
    return found


@pytest.mark.zoo
def test_two_photos_send_the_same(
    start_cloud: Callable[..., Any],
    record: Callable[..., Any],
    zoo: Path,
    photos: Path,
    tmp_path: Path,
    trust: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cloud = start_cloud()
    build_bundle(Order(profile="phone", accepted_licences=ACCEPTED, models=zoo), tmp_path / "published")
    cloud.bundles.sign()
    (tmp_path / "root.json").write_bytes(trust.root)
    monkeypatch.setenv("GOODNOISE_ROOT", str(tmp_path / "root.json"))
    other = tmp_path / "a-telling-name.jpg"
    Image.open(photos / "astronaut.png").convert("RGB").transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(
        other, quality=80
    )
    (tmp_path / "many").mkdir()
    for name in ("grey.jpg", "two.webp"):
        (tmp_path / "many" / name).write_bytes((photos / name).read_bytes())
    recordings = []
    for number, photo in enumerate((photos / "astronaut.png", other)):
        for turn in ("first", "again"):  # with nothing installed, and with the bundle there
            proxy = record(cloud.address)
            home = tmp_path / f"home-{number}"
            assert protect(photo, proxy.address, home, tmp_path / f"out-{number}-{turn}")["faces"]
            recordings.append((turn, proxy))
    # Many photos, an album and a report are work of the device alone too.
    proxy = record(cloud.address)
    album = tmp_path / "album"
    album.mkdir()
    (album / "a-telling-name-too.png").write_bytes((photos / "astronaut.png").read_bytes())
    protect(tmp_path / "many", proxy.address, home, tmp_path / "out-many", "--album", str(album), "--report")
    recordings.append(("again", proxy))
    for turn in ("first", "again"):
        # grpc-timeout counts down and :authority names the proxy's port; everything else must be equal.
        calls = [
            [call.without("grpc-timeout", ":authority") for call in proxy.calls()]
            for t, proxy in recordings
            if t == turn
        ]
        assert calls[0]
        for others in calls[1:]:
            assert others == calls[0]
    sent = b"".join(proxy.raw() for _, proxy in recordings)
    for secret in (b"astronaut", b"telling", b"JFIF", b"PNG", b"Exif"):
        assert secret not in sent


@pytest.mark.zoo
def test_level_off_opens_no_connection(
    start_cloud: Callable[..., Any],
    record: Callable[..., Any],
    device_home: Path,
    photos: Path,
    tmp_path: Path,
) -> None:
    proxy = record(start_cloud().address)
    arguments = [
        "protect",
        str(photos / "astronaut.png"),
        "-o",
        str(tmp_path / "out"),
        "--cloud",
        proxy.address,
    ]
    environment = {"GOODNOISE_HOME": str(device_home)}
    result = CliRunner().invoke(app, [*arguments, "--level", "off", "--budget", "45dB"], env=environment)
    assert result.exit_code in (0, 1), result.stderr
    assert proxy.connections == []
