"""Pools of processes that compute, and that do not outlive the process that asked them to."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait

__all__ = ["spawned_pool"]


def spawned_pool(processes: int, begin: Callable[[], None] | None = None) -> ProcessPoolExecutor:
    """A pool of new processes, since threads of torch and ONNX Runtime do not survive a fork.

    Its processes end when this one is gone, however it went: one that was killed can tell them nothing, and
    they would go on computing for nobody.

    Args:
        processes: how many.
        begin: called first in each.
    """
    return ProcessPoolExecutor(processes, get_context("spawn"), initializer=_begin, initargs=(begin,))


def _begin(begin: Callable[[], None] | None) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if begin is not None:
        begin()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
