"""Reports: the outcome as plain values for JSON, and a picture to look at."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from edge_client.check import Verdict
from edge_client.protect import FaceReport, Outcome

__all__ = ["AMPLIFIED", "face_to_dict", "outcome_to_dict", "report_picture"]

Pixels = npt.NDArray[np.uint8]

# How much the difference is amplified in the picture.
AMPLIFIED = 10
_PANEL = 360
_GAP = 16
_BAR_HEIGHT = 26
_INK, _PAPER, _FAINT = (32, 36, 44), (255, 255, 255), (224, 228, 234)
_BEFORE, _SAFE, _MATCH = (150, 158, 170), (38, 132, 92), (196, 62, 48)


def face_to_dict(face: FaceReport) -> dict[str, Any]:
    """One face as JSON values.

    Similarities are rounded to 4 places, which is beyond what they mean. JSON knows no infinity: `psnr_db` is
    null where nothing changed, a similarity where the recogniser gave no number.
    """
    return {
        "box": list(face.box),
        "anchor": face.anchor,
        "budget": face.budget,
        "levels": face.levels,
        "psnr_db": _number(face.psnr_db, 2),
        "ssim": _number(face.ssim, 4),
        "ms_ssim": _number(face.ms_ssim, 4),
        "edge_change": _number(face.edge_change, 4),
        "protected": face.protected,
        "within_margin": face.passed,
        "recognisers": [_verdict_to_dict(verdict) for verdict in face.verdicts],
    }


def _number(value: float, places: int) -> float | None:
    return round(float(value), places) if math.isfinite(value) else None


def _verdict_to_dict(verdict: Verdict) -> dict[str, Any]:
    return {
        "recogniser": verdict.recogniser,
        "role": verdict.role,
        "similarity_before": _number(verdict.before, 4),
        "similarity_after": _number(verdict.after, 4),
        "threshold": _number(verdict.threshold, 4),
        "target": _number(verdict.target, 4),
        "protected": not verdict.matches,
    }


def outcome_to_dict(outcome: Outcome, *, bundle: str) -> dict[str, Any]:
    """An outcome as JSON values; seconds by stage; `hint` only where a cloud was asked."""
    hint = {} if outcome.hint is None else {"hint": asdict(outcome.hint)}
    return {
        "protected": outcome.protected,
        "format": outcome.format,
        "bundle": bundle,
        "faces": [face_to_dict(face) for face in outcome.faces],
        "faces_too_small": outcome.skipped,
        "seconds": {stage: round(value, 3) for stage, value in outcome.seconds.items()},
        "gradient_calls": outcome.gradient_calls,
        **hint,
    }


def report_picture(outcome: Outcome) -> Image.Image:
    """Original, protected, and the difference amplified, a row for each face, bars of similarity below."""
    rows = [_face_row(outcome, face) for face in outcome.faces]
    width = max(row.width for row in rows)
    sheet = Image.new("RGB", (width, sum(row.height for row in rows)), _PAPER)
    top = 0
    for row in rows:
        sheet.paste(row, (0, top))
        top += row.height
    return sheet


def _face_row(outcome: Outcome, face: FaceReport) -> Image.Image:
    before, after = (_surroundings(image, face.box) for image in (outcome.original, outcome.saved))
    panels = [_panel(part) for part in (before, after, _difference(before, after))]
    titles = ("original", "protected", f"difference x {AMPLIFIED}")
    bars = _bars(face, 3 * _PANEL + 2 * _GAP)
    row = Image.new("RGB", (3 * _PANEL + 4 * _GAP, _PANEL + 3 * _GAP + 20 + bars.height), _PAPER)
    draw = ImageDraw.Draw(row)
    for index, (panel, title) in enumerate(zip(panels, titles, strict=True)):
        left = _GAP + index * (_PANEL + _GAP)
        draw.text((left, _GAP // 2), title, fill=_INK, font=_font(15))
        row.paste(panel, (left, _GAP + 14))
    row.paste(bars, (_GAP, _PANEL + 2 * _GAP + 14))
    return row


def _difference(before: Pixels, after: Pixels) -> Pixels:
    amplified = (after.astype(np.int16) - before) * AMPLIFIED + 128
    return np.asarray(np.clip(amplified, 0, 255), np.uint8)


def _surroundings(image: Pixels, box: tuple[int, int, int, int]) -> Pixels:
    """The face with room around it, as much as the picture has."""
    left, top, width, height = box
    side = round(1.5 * max(width, height))
    x0, y0 = max(0, left + (width - side) // 2), max(0, top + (height - side) // 2)
    return image[y0 : y0 + side, x0 : x0 + side]


def _panel(part: Pixels) -> Image.Image:
    """A picture fitted into a square panel."""
    factor = _PANEL / max(part.shape[:2])
    size = (max(1, round(part.shape[1] * factor)), max(1, round(part.shape[0] * factor)))
    # Nearest when enlarging, so that the pixels shown are the file's own.
    scaled = cv2.resize(part, size, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_NEAREST)
    panel = Image.new("RGB", (_PANEL, _PANEL), _FAINT)
    panel.paste(Image.fromarray(scaled), ((_PANEL - size[0]) // 2, (_PANEL - size[1]) // 2))
    return panel


def _bars(face: FaceReport, width: int) -> Image.Image:
    picture = Image.new("RGB", (width, 58 + 2 * _BAR_HEIGHT * len(face.verdicts)), _PAPER)
    draw = ImageDraw.Draw(picture)
    noise = f"{face.psnr_db:.1f} dB" if math.isfinite(face.psnr_db) else "no change"
    cost = f"at most {face.levels:g} levels, {noise}, SSIM {face.ssim:.3f} over the face box"
    draw.text((0, 0), f"{cost}; compared with: {face.anchor}", fill=_INK, font=_font(14))
    draw.text(
        (0, 22),
        "similarity before (grey) and after; the line is the threshold for 'same person'",
        fill=_BEFORE,
        font=_font(13),
    )
    for index, verdict in enumerate(face.verdicts):
        _bar(draw, verdict, 50 + 2 * _BAR_HEIGHT * index, width)
    return picture


def _bar(draw: ImageDraw.ImageDraw, verdict: Verdict, top: int, width: int) -> None:
    start, length = 260, width - 360
    low, high = (-1.0, 1.0) if verdict.threshold >= 0 else (-1.6, 0.0)

    def place(value: float) -> float:
        if math.isnan(value):  # no number is no protection
            value = high
        return start + length * (min(max(value, low), high) - low) / (high - low)

    draw.text((0, top + 2), f"{verdict.recogniser} ({verdict.role})", fill=_INK, font=_font(14))
    draw.rectangle((start, top, start + length, top + 34), fill=_FAINT)
    draw.rectangle((start, top + 2, place(verdict.before), top + 15), fill=_BEFORE)
    colour = _MATCH if verdict.matches else _SAFE
    draw.rectangle((start, top + 18, place(verdict.after), top + 31), fill=colour)
    line = place(verdict.threshold)
    draw.line((line, top - 3, line, top + 37), fill=_INK, width=2)
    word = "matches" if verdict.matches else "no match"
    draw.text((start + length + 8, top + 8), f"{verdict.after:.2f} {word}", fill=colour, font=_font(13))


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
