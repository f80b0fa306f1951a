"""Checkpoints of a training: written whole or not at all, read only by who would write the same."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import torch

from shared.files import write_atomically

__all__ = ["read_checkpoint", "write_checkpoint"]


def read_checkpoint(path: Path, key: str) -> dict[str, Any] | None:
    """What `write_checkpoint` kept under the same key; None where there is nothing of that kind.

    Args:
        path: the file. It is read as numbers and plain values alone; code in it is not run.
        key: what the training depends on.
    """
    try:
        found = torch.load(path, weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError):
        return None
    if not isinstance(found, dict) or found.get("key") != key:
        return None
    content: dict[str, Any] = found["content"]
    return content


def write_checkpoint(path: Path, key: str, content: dict[str, Any]) -> None:
    """Keep tensors and plain values.

    Raises:
        OSError: as the system says it; the checkpoint before stays.
    """
    buffer = io.BytesIO()
    torch.save({"key": key, "content": content}, buffer)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, buffer.getvalue())
