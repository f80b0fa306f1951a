"""Protection on LFW pairs: rows of attacks, three conditions, every recogniser with its role.

    python tests/bench/bench_protection.py --lfw DIR --bundles DIR --out DIR [--pairs 150] [--processes 2]

One photo of a pair is enrolled and given to nothing; the other is protected as a whole photo by the device's
own code and saved without loss; each condition detects and aligns again. Resumable: what is measured already
is read from
--out. Writes protection.json and protection.md.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime as ort
from conditions import CONDITIONS, near, off_centre, seen
from lfw import REPORTING, TUNING, Pair, main_face, positive_pairs
from PIL import Image
from rich.progress import Progress

from edge_client.album import album_of
from edge_client.check import embed
from edge_client.devicenets import DeviceNets, load_nets
from edge_client.ladder import AUTO, Rung
from edge_client.photos import read_photo
from edge_client.protect import ProtectOptions, protect
from edge_client.recognisers import Recogniser
from edge_client.store import BundleStore
from models.store import default_store, load_card
from shared.faces.frames import FRAMES
from shared.metrics import psnr, ssim

JUDGES = ("mobilefacenet-512", "mobilefacenet-192", "sface", "dlib-resnet")
FIXED = (Rung(8.0),)
DEFAULT = (AUTO[-1],)


@dataclass(frozen=True)
class Row:
    """One row of the table: which surrogates, with or without album and hints, at which budget."""

    name: str
    surrogates: tuple[str, ...]
    rungs: tuple[Rung, ...] = FIXED
    album: bool = False
    hints: bool = True
    steps: int | None = None


ALL = ("mobilefacenet-512", "mobilefacenet-192", "sface")
TWO = ALL[:2]
ROWS = (
    Row("random sign noise, 8 levels", (), FIXED),
    Row("universal perturbation only, 8 levels", (), FIXED),
    Row("one surrogate, 8 levels", ALL[:1]),
    Row("two surrogates, 8 levels", TWO),
    Row("two surrogates, 8 levels, album", TWO, album=True),
    Row("three surrogates, 8 levels", ALL),
    Row("three surrogates, 8 levels, album", ALL, album=True),
    Row("two surrogates, 36 dB", TWO, DEFAULT),
    Row("two surrogates, 36 dB, album", TWO, DEFAULT, album=True),
    Row("three surrogates, 36 dB", ALL, DEFAULT),
    Row("three surrogates, 36 dB, album", ALL, DEFAULT, album=True),
    Row("auto", ALL, AUTO),
    Row("auto, album", ALL, AUTO, album=True),
)


def judges() -> list[Recogniser]:
    """Forward graphs of the zoo, one thread each."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    found = []
    for name in JUDGES:
        session = ort.InferenceSession(
            str(default_store() / f"{name}.onnx"), options, providers=["CPUExecutionProvider"]
        )
        found.append(Recogniser(load_card(name), "judge", 0.0, session))
    return found


@dataclass
class Bench:
    """What one process holds."""

    nets: DeviceNets
    judges: list[Recogniser]
    settings: Any = None

    def measure(self, row: Row, pair: Pair, number: int) -> dict[str, Any]:
        """One pair under one row."""
        pixels = {
            path: np.asarray(Image.open(path).convert("RGB"))
            for path in (pair.enrolled, pair.target, *pair.album)
        }
        faces = {path: main_face(self.nets.detector, image) for path, image in pixels.items()}
        face, enrolled = faces[pair.target], faces[pair.enrolled]
        if face is None or enrolled is None:
            return {"missing": True}
        before = pixels[pair.target]
        after, seconds, calls = self._protected(row, pair, pixels, faces, number)
        known = embed(pixels[pair.enrolled], enrolled, self.judges)
        own = embed(before, face, self.judges)
        rng = np.random.default_rng(number)
        after_similarity: dict[str, dict[str, float]] = {}
        for condition in CONDITIONS:
            photo = seen(after, condition)
            again = near(self.nets.detector.find(photo), face)
            again = off_centre(again, rng) if condition == "shared" else again
            got = embed(photo, again, self.judges)
            after_similarity[condition] = {
                j.name: float(j.similarity(got[j.name], known[j.name])[0, 0]) for j in self.judges
            }
        x0, y0, w, h = (max(round(v), 0) for v in face.box)
        box = (slice(y0, y0 + h), slice(x0, x0 + w))
        return {
            "before": {j.name: float(j.similarity(own[j.name], known[j.name])[0, 0]) for j in self.judges},
            "after": after_similarity,
            "psnr": psnr(before[box], after[box]),
            "ssim": ssim(before[box], after[box]),
            "levels": int(np.abs(before.astype(np.int16) - after).max()),
            "seconds": seconds,
            "calls": calls,
        }

    def _protected(
        self, row: Row, pair: Pair, pixels: Any, faces: Any, number: int
    ) -> tuple[Any, float, int]:
        before, face = pixels[pair.target], faces[pair.target]
        if not row.surrogates:
            return _control(row, before, face, self.nets, number), 0.0, 0
        surrogates = tuple(s for s in self.nets.surrogates if s.name in row.surrogates)
        nets = replace(self.nets, surrogates=surrogates, checkers=())
        album = None
        if row.album:
            album = album_of(
                [embed(pixels[p], faces[p], nets.recognisers) for p in pair.album if faces[p] is not None]
            )
        buffer = io.BytesIO()
        Image.fromarray(before).save(buffer, "PNG")
        photo = read_photo(buffer.getvalue(), name=pair.target.name)
        options = ProtectOptions(row.rungs, seed=number)
        options = options if self.settings is None else replace(options, settings=self.settings)
        outcome = protect(photo, nets, options, album=album)
        return outcome.saved, sum(outcome.seconds.values()), outcome.gradient_calls


def _control(row: Row, before: Any, face: Any, nets: DeviceNets, number: int) -> Any:
    """Random signs, or the bundle's first universal perturbation at full budget, over the attack's area."""
    from edge_client.looks import face_mask
    from edge_client.region import face_region
    from shared.faces.frames import similarity_to_frame

    region = face_region(before.shape, face)
    mask = face_mask(region.size, region.landmarks())
    if row.name.startswith("random"):
        pattern = np.random.default_rng(number).choice([-1.0, 1.0], (*region.size, 3))
    else:
        universal = nets.universals[0] / np.abs(nets.universals[0]).max()
        matrix = similarity_to_frame(region.landmarks(), FRAMES["arcface112"])
        size = (region.size[1], region.size[0])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        pattern = cv2.warpAffine(
            np.ascontiguousarray(universal.transpose(1, 2, 0)), matrix, size, flags=flags
        )
    delta = np.asarray(pattern * mask[:, :, None] * 8 / 255, np.float32).transpose(2, 0, 1)[None]
    x0, y0, x1, y1 = region.window
    after = before.copy()
    levels = np.rint(region.lift(delta, 8 / 255))
    after[y0:y1, x0:x1] = np.clip(before[y0:y1, x0:x1] + levels, 0, 255)
    return after


_bench: Bench | None = None


def _work(job: tuple[str, int, Path, int, int]) -> tuple[str, int, dict[str, Any]]:
    global _bench  # noqa: PLW0603 - one set of networks a process
    name, number, lfw, count, sets = job
    if _bench is None:
        cv2.setNumThreads(1)
        _bench = Bench(load_nets(BundleStore().current(), threads=1), judges())
    row = next(r for r in ROWS if r.name == name)
    pair = positive_pairs(lfw, TUNING if sets else REPORTING)[:count][number]
    return name, number, _bench.measure(row, pair, number)


def _known(path: Path) -> dict[tuple[str, int], dict[str, Any]]:
    if not path.exists():
        return {}
    rows = (json.loads(line) for line in path.read_text().splitlines())
    return {(r["row"], r["pair"]): r["result"] for r in rows}


def run(options: argparse.Namespace) -> dict[tuple[str, int], dict[str, Any]]:
    """Measure what is missing, two processes of one thread each."""
    options.out.mkdir(parents=True, exist_ok=True)
    log = options.out / "pairs.jsonl"
    known = _known(log)
    names = [r.name for r in ROWS if not options.rows or any(word in r.name for word in options.rows)]
    count = min(options.pairs, len(positive_pairs(options.lfw, TUNING if options.tuning else REPORTING)))
    jobs = [
        (n, i, options.lfw, count, int(options.tuning))
        for i in range(count)
        for n in names
        if (n, i) not in known
    ]
    with log.open("a") as file, Progress() as progress, get_context("spawn").Pool(options.processes) as pool:
        task = progress.add_task("pairs x rows", total=len(jobs))
        for name, number, result in pool.imap_unordered(_work, jobs):
            known[name, number] = result
            file.write(json.dumps({"row": name, "pair": number, "result": result}) + "\n")
            file.flush()
            progress.advance(task)
    return known


def table(results: dict[tuple[str, int], dict[str, Any]]) -> dict[str, Any]:
    """Protection rates with 95 % intervals (Wilson), ASR, clean TAR, looks and cost, by row."""
    thresholds = {j.name: j.threshold for j in judges()}
    found: dict[str, Any] = {}
    for row in ROWS:
        measured = [r for (name, _), r in results.items() if name == row.name and "missing" not in r]
        if measured:
            found[row.name] = _summary(measured, thresholds)
    return found


def _summary(measured: list[dict[str, Any]], thresholds: dict[str, float]) -> dict[str, Any]:
    rates: dict[str, Any] = {}
    for judge, threshold in thresholds.items():
        matched = [r for r in measured if r["before"][judge] >= threshold]
        by: dict[str, Any] = {"clean_tar": len(matched) / len(measured)}
        for condition in CONDITIONS:
            lost = sum(r["after"][condition][judge] < threshold for r in matched)
            still = sum(r["after"][condition][judge] >= threshold for r in measured)
            by[condition] = {
                "protection": lost / max(len(matched), 1),
                "interval": wilson(lost, len(matched)),
                "asr": (len(matched) - still) / len(measured),
            }
        rates[judge] = by
    mean = {key: float(np.mean([r[key] for r in measured])) for key in ("psnr", "ssim", "seconds", "calls")}
    return {
        "pairs": len(measured),
        "recognisers": rates,
        "levels": max(r["levels"] for r in measured),
        **mean,
    }


def wilson(hits: int, total: int) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson 1927)."""
    if total == 0:
        return 0.0, 1.0
    z, p = 1.96, hits / total
    middle = (p + z * z / (2 * total)) / (1 + z * z / total)
    half = z / (1 + z * z / total) * math.sqrt(p * (1 - p) / total + z * z / (4 * total * total))
    return max(0.0, middle - half), min(1.0, middle + half)


def role(judge: str, row: Row) -> str:
    """What a recogniser was to a row."""
    if judge in row.surrogates:
        return "white"
    return "grey" if judge in ALL else "judge"  # all three are in the ensemble of the hints


def markdown(found: dict[str, Any]) -> Iterator[str]:
    """The table as README shows it: protection in %, png / jpeg85 / shared."""
    yield "| attack | " + " | ".join(JUDGES) + " | PSNR | SSIM | levels | s |"
    yield "|---" * (len(JUDGES) + 5) + "|"
    for row in ROWS:
        if row.name not in found:
            continue
        entry = found[row.name]
        cells = []
        for judge in JUDGES:
            by = entry["recognisers"][judge]
            shares = " / ".join(f"{100 * by[c]['protection']:.0f}" for c in CONDITIONS)
            low, high = by["shared"]["interval"]
            cells.append(f"{shares} ({100 * low:.0f}-{100 * high:.0f}) {role(judge, row)}")
        tail = f"{entry['psnr']:.1f} | {entry['ssim']:.3f} | {entry['levels']} | {entry['seconds']:.1f}"
        yield f"| {row.name} | " + " | ".join(cells) + f" | {tail} |"


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lfw", type=Path, required=True, help="folder with images/ and pairs.txt")
    parser.add_argument("--out", type=Path, default=Path("bench-out"))
    parser.add_argument("--pairs", type=int, default=150)
    parser.add_argument("--processes", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--rows", nargs="*", help="only rows whose name holds one of these words")
    parser.add_argument("--tuning", action="store_true", help="sets 4-6 (never for a reported figure)")
    options = parser.parse_args()
    found = table(run(options))
    (options.out / "protection.json").write_text(json.dumps(found, indent=1) + "\n")
    text = "\n".join(markdown(found)) + "\n"
    (options.out / "protection.md").write_text(text)
    print(text)  # noqa: T201 - a script's result


if __name__ == "__main__":
    main()
