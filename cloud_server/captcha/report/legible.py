"""The report's table of legibility: proxies, never how well people read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from cloud_server.captcha.challenges.gate import LEAST_CONTRAST
from cloud_server.captcha.challenges.legibility import stroke_contrast, template_right
from cloud_server.captcha.challenges.types import Made
from cloud_server.captcha.report.preprocess import Grey
from cloud_server.captcha.report.sample import Condition, Sample, clean_of
from cloud_server.captcha.report.scores import share
from shared.metrics import ssim

__all__ = ["legibility"]


def legibility(sample: Sample) -> dict[str, Any]:
    """Proxies on the issued images, and on all that were made, since a gate chose the issued ones by them.

    Contrast is a mean over images; `ratio` is that of the means. The template observer's figure is a share of
    characters. Changes are in levels of 8 bits.
    """
    made = (*sample.issued, *sample.held_back)
    return {
        "issued": _figures(
            sample.issued, [sample.image(i, Condition.NOISE) for i in range(len(sample.issued))]
        ),
        "made": _figures(made, None),
        "gate": {"made": len(made), "issued": asdict(share(len(made) - len(sample.held_back), len(made)))},
        "changes": _changes(sample),
    }


def _figures(made: Sequence[Made], noise: Sequence[Grey] | None) -> dict[str, Any]:
    """Figures in each condition; the noise is measured where it was made."""
    conditions: dict[str, Sequence[Grey]] = {"clean": [clean_of(item) for item in made]}
    if noise is not None:
        conditions["noise"] = noise
    conditions["attacked"] = [item.attacked for item in made]
    contrasts = {name: _contrasts(made, images) for name, images in conditions.items()}
    right = {name: _right(made, images) for name, images in conditions.items()}
    kept = contrasts["attacked"] >= LEAST_CONTRAST * contrasts["clean"]
    return {
        "stroke_contrast": {
            **{name: float(values.mean()) for name, values in contrasts.items()},
            "ratio": float(contrasts["attacked"].mean() / contrasts["clean"].mean()),
            "images_that_keep_95_percent": float(kept.mean()),
        },
        "template_observer": {
            **right,
            "ratio": right["attacked"] / right["clean"] if right["clean"] else 0.0,
        },
    }


def _contrasts(made: Sequence[Made], images: Sequence[Grey]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    pairs = zip(made, images, strict=True)
    return np.array([stroke_contrast(image, item.rendered.ink) for item, image in pairs])


def _right(made: Sequence[Made], images: Sequence[Grey]) -> float:
    pairs = zip(made, images, strict=True)
    return float(np.concatenate([template_right(image, item.rendered) for item, image in pairs]).mean())


def _changes(sample: Sample) -> dict[str, float]:
    count = len(sample.issued)
    clean, noise, attacked = (sample.images(condition) for condition in Condition)
    moved = np.stack(attacked).astype(np.int64) - np.stack(clean)
    return {
        "most_levels": float(np.abs(moved).max()),
        "rms_levels": float(np.sqrt((moved**2).mean())),
        "ssim_noise": float(np.mean([ssim(_colour(clean[i]), _colour(noise[i])) for i in range(count)])),
        "ssim_attacked": float(
            np.mean([ssim(_colour(clean[i]), _colour(attacked[i])) for i in range(count)])
        ),
    }


def _colour(image: Grey) -> Grey:
    return np.repeat(image[..., None], 3, axis=2)
