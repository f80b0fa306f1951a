"""Cost of gradient graphs: size, loading, and time beside the forward pass of the same network.

Run `python tests/bench/bench_gradient_graph.py [--batch N] [--seconds S] [NETWORK ...]` on a fetched zoo.
Times are medians of process CPU time on one thread, with the graphs taking turns, so that other work on the
machine meets all of them alike; read the ratios.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort

from models.gradients import WeightType, build_gradient_graph, simplify, store_weights
from models.store import default_store

NETWORKS = ("mobilefacenet-512", "mobilefacenet-192", "sface", "dlib-resnet")
TYPES: tuple[WeightType, ...] = ("float32", "float16", "int8-block")
LIMIT = 2.2  # of the forward pass


def _session(model: onnx.ModelProto) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def _feeds(session: ort.InferenceSession, batch: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    shapes = {item.name: [batch, *item.shape[1:]] for item in session.get_inputs()}
    feeds = {"face": rng.random(shapes["face"], np.float32)}
    if "anchors" in shapes:
        feeds["anchors"] = rng.standard_normal((batch, 2, shapes["anchors"][2])).astype(np.float32)
        feeds["weights"] = np.full((batch, 2), -0.5, np.float32)
    return feeds


def _medians(sessions: Sequence[ort.InferenceSession], batch: int, seconds: float) -> list[float]:
    """Median milliseconds of one run of each session."""
    feeds = [_feeds(session, batch) for session in sessions]
    spent: list[list[float]] = [[] for _ in sessions]
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for session, feed, times in zip(sessions, feeds, spent, strict=True):
            start = time.process_time()
            session.run(None, feed)
            times.append(time.process_time() - start)
    return [float(np.median(times[1:])) * 1e3 for times in spent]


def _speed(
    name: str, forward: onnx.ModelProto, gradient: onnx.ModelProto, batch: int, seconds: float
) -> None:
    sessions = [_session(model) for model in (forward, simplify(forward), gradient)]
    stored, fast, both = _medians(sessions, batch, seconds)
    verdict = "ok" if both <= LIMIT * stored else f"over {LIMIT}"
    _line(
        f"{name:18s} batch {batch}  forward {stored:7.2f} ms  simplified {fast:7.2f} ms",
        f"gradient {both:7.2f} ms",
        f"= {both / stored:.2f} x stored ({verdict}), {both / fast:.2f} x simplified",
    )


def _line(*parts: str) -> None:
    sys.stdout.write("  ".join(parts) + "\n")
    sys.stdout.flush()


def _storage(name: str, gradient: onnx.ModelProto) -> None:
    exact: np.ndarray | None = None
    for dtype in TYPES:
        model = store_weights(gradient, dtype=dtype)
        start = time.process_time()
        session = _session(model)
        loading = time.process_time() - start
        (value,) = session.run(["gradient"], _feeds(session, 2))
        exact = value if exact is None else exact
        error = np.linalg.norm(value - exact) / np.linalg.norm(exact)
        cosine = np.vdot(value, exact) / np.linalg.norm(value) / np.linalg.norm(exact)
        signs = np.mean(np.sign(value) == np.sign(exact))
        _line(
            f"{name:18s} {dtype:10s} {model.ByteSize() / 1e6:6.2f} MB  loads in {loading:.2f} s",
            f"gradient: error {error:.1e}, cosine {cosine:.4f}, equal signs {signs:.4f}",
        )


def main() -> None:
    """Print one line a network and batch size, and one a network and weight type."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("networks", nargs="*", default=NETWORKS)
    parser.add_argument("--batch", type=int, nargs="*", default=[1, 4])
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--store", type=Path, default=default_store())
    options = parser.parse_args()
    for name in options.networks:
        forward = onnx.load(options.store / f"{name}.onnx")
        gradient = build_gradient_graph(forward, name=name)
        for batch in options.batch:
            _speed(name, forward, gradient, batch, options.seconds)
        _storage(name, gradient)


if __name__ == "__main__":
    main()
