"""Originals and results side by side at 100 % and enlarged, for the eye.

    GOODNOISE_HOME=DIR python tests/bench/contact_sheet.py --lfw DIR --out sheet.png [--faces 5] [--enlarge 1]

A row for each face: the original, then what each budget of the product and sign steps at 8 levels make of it.
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path

import numpy as np
from lfw import REPORTING, main_face, positive_pairs
from PIL import Image, ImageDraw, ImageFont

from edge_client.devicenets import load_nets
from edge_client.ladder import parse_budget
from edge_client.photos import read_photo
from edge_client.protect import ProtectOptions, protect
from edge_client.store import BundleStore
from shared.metrics import masked_ms_ssim, psnr

BUDGETS = ("40dB", "38dB", "36dB", "33dB", "8")
SIDE = 200


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lfw", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--faces", type=int, default=5)
    parser.add_argument("--enlarge", type=int, default=1)
    options = parser.parse_args()
    nets = load_nets(BundleStore().current())
    pairs = positive_pairs(options.lfw, REPORTING)[: options.faces]
    cell = SIDE * options.enlarge
    sheet = Image.new("RGB", ((1 + len(BUDGETS)) * cell, len(pairs) * (cell + 18)), "white")
    draw = ImageDraw.Draw(sheet)
    for row, pair in enumerate(pairs):
        pixels = np.asarray(Image.open(pair.target).convert("RGB"))
        face = main_face(nets.detector, pixels)
        if face is None:
            continue
        x, y = (int(face.box[i] + face.box[i + 2] / 2 - SIDE / 2) for i in (0, 1))
        x, y = min(max(x, 0), pixels.shape[1] - SIDE), min(max(y, 0), pixels.shape[0] - SIDE)
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "PNG")
        photo = read_photo(buffer.getvalue(), name=pair.target.name)
        results = [protect(photo, nets, ProtectOptions(parse_budget(b))).saved for b in BUDGETS]
        for column, (name, image) in enumerate(zip(("original", *BUDGETS), (pixels, *results), strict=True)):
            part = Image.fromarray(image[y : y + SIDE, x : x + SIDE])
            sheet.paste(
                part.resize((cell, cell), Image.Resampling.NEAREST), (column * cell, row * (cell + 18) + 18)
            )
            left, top, width, height = (max(round(v), 0) for v in face.box)
            box = (slice(top, top + height), slice(left, left + width))
            looks = (
                f" {psnr(pixels[box], image[box]):.1f} dB, {masked_ms_ssim(pixels[box], image[box]):.3f}"
                if column
                else ""
            )
            draw.text(
                (column * cell + 4, row * (cell + 18) + 2),
                name + looks,
                fill="black",
                font=ImageFont.load_default(12),
            )
    sheet.save(options.out)


if __name__ == "__main__":
    main()
