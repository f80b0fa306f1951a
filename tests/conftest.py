"""Fixtures that several folders of tests use."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest


@pytest.fixture
def rng() -> np.random.Generator:
    """A seeded generator."""
    return np.random.default_rng(20221010)


@pytest.fixture(scope="session")
def zoo() -> Path:
    """The folder of converted models; fetched by `goodnoise-models fetch`, which `make test` runs first."""
    from models.store import default_store

    folder = default_store()
    if not (folder / "yunet.onnx").exists():
        pytest.fail(f"the model zoo is missing in {folder}; run 'goodnoise-models fetch'")
    return folder


@pytest.fixture(scope="session")
def photos() -> Path:
    """The folder of freely licensed photos that the project ships for its demo."""
    return Path(__file__).resolve().parent.parent / "deploy" / "photos"


@pytest.fixture
def noise_photo(rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """A small picture without a face, uint8 H W 3."""
    return rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)
