"""Counters of the HTTP side, with no label that stands for a visitor or a site."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram

__all__ = ["Counts"]

_SECONDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)


class Counts:
    """Counters in a registry.

    Args:
        registry: where they are registered; a second `Counts` in one registry is an error of Prometheus.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = Counter(
            "goodnoise_captcha_http_requests", "Requests that ended", ("route", "status"), registry=registry
        )
        self._seconds = Histogram(
            "goodnoise_captcha_http_seconds",
            "Time of a request",
            ("route",),
            buckets=_SECONDS,
            registry=registry,
        )
        self._verdicts = Counter(
            "goodnoise_captcha_http_verdicts",
            "Answers of siteverify",
            ("profile", "outcome"),
            registry=registry,
        )

    def ended(self, route: str, *, status: int, seconds: float) -> None:
        """Count one request of a route, such as `/api/v1/challenges/{challenge}/image`."""
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def verified(self, profile: str, outcome: str) -> None:
        """Count one verdict: `success`, or its first error code."""
        self._verdicts.labels(profile, outcome).inc()
