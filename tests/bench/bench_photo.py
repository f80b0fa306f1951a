"""Seconds for one photo of 12 megapixels with one face, at the default, by stage.

    GOODNOISE_HOME=DIR python tests/bench/bench_photo.py [--threads N] [--photo FILE]

Without --photo, the demo's astronaut is enlarged to 4000 x 3000; its face is then about 540 pixels wide.
"""

from __future__ import annotations

import argparse
import io
import time
from pathlib import Path

from PIL import Image

from edge_client.devicenets import load_nets
from edge_client.ladder import parse_budget
from edge_client.photos import read_photo
from edge_client.protect import ProtectOptions, protect
from edge_client.store import BundleStore

ASTRONAUT = Path(__file__).resolve().parents[2] / "deploy" / "photos" / "astronaut.png"


def enlarged(size: tuple[int, int]) -> bytes:
    """A JPEG of this size, width and height, with one face."""
    photo = Image.open(ASTRONAUT).convert("RGB")
    height = photo.width * size[1] // size[0]
    large = photo.crop((0, 0, photo.width, height)).resize(size, Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    large.save(buffer, "JPEG", quality=92)
    return buffer.getvalue()


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--photo", type=Path)
    parser.add_argument("--budget", nargs="*", default=["auto", "36dB"])
    options = parser.parse_args()
    data = options.photo.read_bytes() if options.photo else enlarged((4000, 3000))
    start = time.perf_counter()
    nets = load_nets(BundleStore().current(), threads=options.threads)
    print(f"loading the bundle {nets.version}: {time.perf_counter() - start:.2f} s")  # noqa: T201
    for budget in options.budget:
        start = time.perf_counter()
        photo = read_photo(data, name="12 megapixels")
        read = time.perf_counter() - start
        outcome = protect(photo, nets, ProtectOptions(parse_budget(budget)))
        total = time.perf_counter() - start
        stages = ", ".join(f"{name} {value:.2f}" for name, value in {"read": read, **outcome.seconds}.items())
        size = f"{photo.pixels.shape[1]} x {photo.pixels.shape[0]}"
        print(  # noqa: T201 - a script's result
            f"{size}, {len(outcome.faces)} face(s), {budget}: {total:.1f} s ({stages}), "
            f"{outcome.gradient_calls} steps of {len(nets.surrogates)} surrogates"
        )


if __name__ == "__main__":
    main()
