"""Makes golden/ssim.json: SSIM as scikit-image 0.26.0 measures it, for changes that the test makes again.

Run it with `python tests/unit/golden/make_ssim_golden.py` where scikit-image is installed.
"""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

HERE = Path(__file__).resolve().parent
PHOTO = HERE.parents[2] / "deploy" / "photos" / "astronaut.png"


def changes(photo: np.ndarray) -> dict[str, np.ndarray]:
    """The photo changed in four ways, each exact on every machine."""
    signs = np.where((np.arange(photo.size) * 7919 // 13) % 2, 1, -1).reshape(photo.shape)
    return {
        "signs of 4 levels": np.clip(photo.astype(int) + 4 * signs, 0, 255).astype(np.uint8),
        "signs of 12 levels": np.clip(photo.astype(int) + 12 * signs, 0, 255).astype(np.uint8),
        "brighter by 20 levels": np.clip(photo.astype(int) + 20, 0, 255).astype(np.uint8),
        "shifted by 2 pixels": np.roll(photo, 2, axis=1),
    }


def main() -> None:
    """Write the values."""
    photo = np.asarray(Image.open(PHOTO).convert("RGB"))[0:201, 100:331]
    before = cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY)
    values = {}
    for name, changed in changes(photo).items():
        after = cv2.cvtColor(changed, cv2.COLOR_RGB2GRAY)
        index = structural_similarity(
            before, after, data_range=255, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
        )
        values[name] = {"ssim": float(index), "psnr": float(peak_signal_noise_ratio(photo, changed))}
    (HERE / "ssim.json").write_text(json.dumps(values, indent=1) + "\n")


if __name__ == "__main__":
    main()
