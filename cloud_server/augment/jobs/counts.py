"""Prometheus metrics of jobs: states, samples, seconds; no label stands for an owner or a job."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from cloud_server.augment.jobs.records import State

__all__ = ["JobCounts"]

_SECONDS = (1.0, 10.0, 60.0, 300.0, 900.0, 3600.0, 14400.0, 86400.0)


class JobCounts:
    """Counters of one server.

    Args:
        registry: where they are shown.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._jobs = Gauge("goodnoise_augment_jobs", "Jobs that are kept", ("state",), registry=registry)
        self._queue = Gauge("goodnoise_augment_queue_depth", "Jobs that wait for a worker", registry=registry)
        self._held = Gauge("goodnoise_augment_held_bytes", "Bytes that jobs hold", registry=registry)
        self._samples = Counter("goodnoise_augment_samples", "Samples made", registry=registry)
        self._images = Counter("goodnoise_augment_images", "Images taken in", registry=registry)
        self._crashes = Counter("goodnoise_augment_crashes", "Workers that died", registry=registry)
        self._seconds = Histogram(
            "goodnoise_augment_job_seconds",
            "Time from a job's first start to its end",
            ("state",),
            buckets=_SECONDS,
            registry=registry,
        )

    def looked(self, states: Mapping[State, int], held: int) -> None:
        """What the store holds now."""
        for state, count in states.items():
            self._jobs.labels(state.value).set(count)
        self._queue.set(states[State.QUEUED])
        self._held.set(held)

    def took(self, images: int) -> None:
        """Images of one upload."""
        self._images.inc(images)

    def made(self, samples: int) -> None:
        """Samples since the last time."""
        self._samples.inc(max(0, samples))

    def crashed(self) -> None:
        """A worker died."""
        self._crashes.inc()

    def ended(self, state: State, seconds: float) -> None:
        """A job ended."""
        self._seconds.labels(state.value).observe(seconds)
