"""The demo: a cloud, a device, real photos. Run by `make demo`; nothing here but calls of the three commands.

1. fetch the zoo, build a bundle and sign it, 2. start the cloud, 3. update the device over gRPC, 4. protect
the photos, 5. ask a judge that took no part (dlib), and print what every recogniser says.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

BIN = Path(sys.executable).parent
JUDGE = "dlib-resnet"
# The packages of these two state a licence but not where the weights were trained; the demo accepts that for
# this machine alone. See `goodnoise-models show NAME`.
NETWORKS = ("yunet", "mobilefacenet-512", "mobilefacenet-192", "sface", "sface-student", "dlib-resnet")
ACCEPTED = ("mobilefacenet-512", "mobilefacenet-192", "sface-student")
console = Console(width=None if sys.stdout.isatty() else 120)


def main() -> None:
    """Run the demo."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=Path, default=Path(__file__).parent / "photos")
    parser.add_argument("--out", type=Path, default=Path("demo-out"))
    options = parser.parse_args()
    work = options.out / ".work"
    work.mkdir(parents=True, exist_ok=True)
    environment = os.environ | {"GOODNOISE_HOME": str(work / "device")}
    step("Fetch the model zoo and build a bundle")
    call("goodnoise-models", "fetch", *NETWORKS, env=environment)
    accepted = [word for name in ACCEPTED for word in ("--accept-licence", name)]
    call(
        "goodnoise-cloud",
        "bundle",
        "build",
        "--out",
        str(work / "bundles"),
        "--profile",
        "full",
        *accepted,
        env=environment,
    )
    step("Sign the bundle, and publish what was signed")
    sign(work / "bundles", work / "keys", environment)
    with cloud(work / "bundles", environment) as address:
        step(f"Update the device from the cloud at {address}")
        root = str(work / "keys" / "root.json")
        call("goodnoise", "update", "--cloud", address, "--root", root, env=environment)
        call("goodnoise", "bundle", "show", env=environment)
        step("Protect the photos on the device")
        photos = protect([options.photos], options.out, address, environment, budget="auto")
        again = [Path(photo["source"]) for photo in photos if photo.get("faces") and not photo["protected"]]
        if again:
            step("Some still match at the default's largest change: go on, with changes that can be seen")
            stronger = protect(again, options.out, address, environment, budget="strong")
            done = {photo["source"]: photo for photo in stronger}
            photos = [done.get(photo["source"], photo) for photo in photos]
    for photo in photos:
        if photo.get("faces"):
            add_judge(photo)
    console.print(table(photos))
    hidden = sum(face["protected"] for photo in photos for face in photo.get("faces", ()))
    total = sum(len(photo.get("faces", ())) for photo in photos)
    console.print(f"{hidden} of {total} faces no longer match, says every recogniser of the device.")
    console.print(f"Pictures to look at: {options.out.resolve()}/*.report.png")


def step(text: str) -> None:
    """Say what comes next."""
    console.rule(text)


def call(command: str, *arguments: str, env: dict[str, str]) -> None:
    """Run one of the project's commands; stop the demo when it fails."""
    done = subprocess.run([str(BIN / command), *arguments], env=env, check=False)  # noqa: S603
    if done.returncode != 0:
        sys.exit(f"{command} {' '.join(arguments[:2])} ended with {done.returncode}")


def sign(bundles: Path, keys: Path, env: dict[str, str]) -> None:
    """Make keys where there are none, sign what was built and publish it."""
    if not (keys / "root.json").exists():
        call("goodnoise-cloud", "bundle", "keys", "--out", str(keys), env=env)
    for command in ("sign", "publish"):
        call("goodnoise-cloud", "bundle", command, "--bundles", str(bundles), "--keys", str(keys), env=env)


@contextmanager
def cloud(bundles: Path, env: dict[str, str]) -> Iterator[str]:
    """A running cloud on a free port of loopback; gives host:port."""
    step("Start the cloud")
    with tempfile.TemporaryDirectory() as scratch:
        port_file = Path(scratch) / "port"
        arguments = [
            "serve",
            "--bundles",
            str(bundles),
            "--listen",
            "127.0.0.1:0",
            "--port-file",
            str(port_file),
        ]
        process = subprocess.Popen([str(BIN / "goodnoise-cloud"), *arguments], env=env)  # noqa: S603
        try:
            yield f"127.0.0.1:{wait_for(port_file, process)}"
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def wait_for(port_file: Path, process: subprocess.Popen[bytes]) -> str:
    """The port, once the server has written it."""
    for _ in range(300):
        if port_file.exists():
            return port_file.read_text().strip()
        if process.poll() is not None:
            sys.exit(f"the cloud ended with {process.returncode}")
        time.sleep(0.1)
    sys.exit("the cloud did not start within 30 seconds")


def protect(
    photos: list[Path], out: Path, address: str, env: dict[str, str], *, budget: str
) -> list[dict[str, Any]]:
    """Protect the photos; the client's JSON for each."""
    arguments = [
        *map(str, photos),
        "-o",
        str(out),
        "--cloud",
        address,
        "--budget",
        budget,
        "--report",
        "--json",
    ]
    done = subprocess.run(  # noqa: S603
        [str(BIN / "goodnoise"), "protect", *arguments], env=env, check=False, stdout=subprocess.PIPE
    )
    report: dict[str, Any] = json.loads(done.stdout or b"{}")
    if "photos" not in report or report.get("interrupted"):
        sys.exit(f"goodnoise protect ended with {done.returncode}")
    found: list[dict[str, Any]] = report["photos"]
    return found


def add_judge(photo: dict[str, Any]) -> None:
    """Ask a recogniser that is in no bundle; it decided nothing about the photo."""
    import numpy as np
    import onnxruntime as ort

    from edge_client.check import CONDITIONS, seen
    from edge_client.photos import read_photo
    from edge_client.region import visible_box
    from models.store import default_store, load_card
    from shared.faces.detect import Detector
    from shared.faces.frames import FRAMES, crop

    card = load_card(JUDGE)
    session = ort.InferenceSession(str(default_store() / f"{JUDGE}.onnx"), providers=["CPUExecutionProvider"])
    detector = Detector((default_store() / "yunet.onnx").read_bytes())
    before, after = (read_photo(Path(photo[key])).pixels for key in ("source", "output"))
    found = {visible_box(before.shape, face): face for face in detector.find(before)}
    for row in photo["faces"]:
        left, top, width, height = row["box"]
        # One detector made both boxes; the nearest is the same.
        wanted = np.array([left, top, left + width, top + height])
        face = found[min(found, key=lambda box: int(np.abs(box - wanted).sum()))]
        one, two = (
            session.run(["embedding"], {"face": crop(pixels, one.points(), FRAMES[card.frame])})[0]
            for pixels, one in ((before, face), seen(after, face, CONDITIONS[0], detector))
        )
        distance = float(np.linalg.norm(one - two))
        threshold = card.threshold.value if card.threshold else 0.0
        row["recognisers"].append(
            {
                "recogniser": card.name,
                "role": "judge",
                "similarity_before": 0.0,
                "similarity_after": -distance,
                "threshold": -threshold,
                "protected": card.score(distance) < 0,
            }
        )


def table(photos: list[dict[str, Any]]) -> Table:
    """A row for each photo, face and recogniser."""
    title = "Similarity to the original photo (dlib: minus the distance)"
    shown = Table(title=title, box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for column in (
        "photo",
        "face",
        "recogniser",
        "role",
        "before",
        "after",
        "threshold",
        "verdict",
        "levels",
        "PSNR",
    ):
        shown.add_column(column, no_wrap=True)
    shown.add_column("seconds", no_wrap=True)
    for photo in photos:
        name = escape(Path(photo["source"]).name)
        if "error" in photo:
            shown.add_row(name, "", escape(photo["error"]["message"]))
            continue
        for number, face in enumerate(photo["faces"], 1):
            for row in face["recognisers"]:
                shown.add_row(
                    name,
                    str(number),
                    row["recogniser"],
                    row["role"],
                    f"{row['similarity_before']:.2f}",
                    f"{row['similarity_after']:.2f}",
                    f"{row['threshold']:.2f}",
                    "[green]no match[/]" if row["protected"] else "[red]matches[/]",
                    f"{face['levels']:g}",
                    "same" if face["psnr_db"] is None else f"{face['psnr_db']:.1f} dB",
                    f"{sum(photo['seconds'].values()):.1f}" if number == 1 else "",
                )
                name = ""
    return shown


if __name__ == "__main__":
    main()
