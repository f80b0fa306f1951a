"""One thread for all arithmetic of a process that has a core: more wait for each other and gain nothing."""

from __future__ import annotations

__all__ = ["one_thread"]


def one_thread() -> None:
    """Hold torch, OpenCV and the matrix library behind NumPy to one thread each, for the whole process.

    On two cores two threads took six times the CPU time of one for the small products of challenges.
    """
    import cv2
    import torch
    from threadpoolctl import threadpool_limits

    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    threadpool_limits(limits=1)
