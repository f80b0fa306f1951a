"""The demo's own parts: the judge that took no part, and the table."""

from __future__ import annotations

import importlib.util
import io
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image
from rich.console import Console


@pytest.fixture(scope="module")
def demo(photos: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("goodnoise_demo", photos.parent / "demo.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def photo_of(source: Path, output: Path, *boxes: list[int]) -> dict[str, Any]:
    faces = [
        {"box": box, "levels": 8.0, "psnr_db": None, "protected": True, "recognisers": []} for box in boxes
    ]
    return {"source": str(source), "output": str(output), "faces": faces, "seconds": {"find": 1.0}}


@pytest.mark.zoo
def test_the_judge_compares_a_hidden_face_with_its_own_place_and_not_its_neighbours(
    demo: ModuleType, zoo: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOODNOISE_MODELS", str(zoo))
    one = np.asarray(Image.open(photos / "astronaut.png").convert("RGB"))
    two = np.concatenate([one, one[:, ::-1]], axis=1)
    hidden = two.copy()
    hidden[10:220, 130:320] = 90
    for name, pixels in (("two.png", two), ("hidden.png", hidden)):
        Image.fromarray(pixels).save(tmp_path / name)
    photo = photo_of(
        tmp_path / "two.png", tmp_path / "hidden.png", [178, 58, 93, 116], [1024 - 271, 58, 93, 116]
    )
    demo.add_judge(photo)
    first, second = (face["recognisers"][0] for face in photo["faces"])
    assert first["protected"]
    assert not second["protected"]
    assert second["similarity_after"] > -0.3  # found a little elsewhere, in its surroundings alone


def test_the_table_shows_every_photo_and_what_went_wrong(demo: ModuleType) -> None:
    fine = photo_of(Path("[red].png"), Path("a"), [0, 0, 9, 9])
    fine["faces"][0]["recognisers"].append(
        {
            "recogniser": "mobilefacenet-512",
            "role": "judge",
            "similarity_before": 1.0,
            "similarity_after": 0.1,
            "threshold": 0.3,
            "protected": True,
        }
    )
    broken = {"source": "b.png", "error": {"code": "invalid_input", "message": "b.png is [bold] damaged"}}
    console = Console(file=io.StringIO(), width=110)
    console.print(demo.table([fine, broken]))
    text = console.file.getvalue()
    for word in (
        "[red].png",
        "mobilefacenet-512",
        "threshold",
        "seconds",
        "no match",
        "same",
        "b.png is [bold] damaged",
    ):
        assert word in text
