"""Margins of the device's check, calibrated by leaving one recogniser out.

    python tests/bench/calibrate_margins.py --lfw DIR [--pairs 30] [--out margins.toml]

Pairs of the tuning sets (4-6) alone. For each of the three recognisers in turn: the two others attack a photo
at each rung of the ladder and are asked as the client asks them; the one left out is asked, against the
enrolled photo, whether it still matches in the condition `shared`. The margin is the smallest share of its
threshold that every recogniser of the device has to be behind for the one left out to be hidden in TARGET of
the photos that pass; where no share reaches that, the one with the best rate among those that a tenth of the
photos pass, and the text says so.

The margins go into cloud_server/bundles/margins.toml, from which bundles are built.
"""

from __future__ import annotations

import argparse
import io
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from rich.progress import Progress

from cloud_server.evaluation.protection.conditions import near, published
from cloud_server.evaluation.protection.pairs import TUNING, main_face, positive_pairs
from edge_client.album import album_of
from edge_client.check import embed
from edge_client.devicenets import DeviceNets, load_nets
from edge_client.ladder import AUTO
from edge_client.photos import read_photo
from edge_client.protect import ProtectOptions, protect
from edge_client.recognisers import Recogniser
from edge_client.store import BundleStore
from models.importers.canonical import session
from models.store import Store, default_store, load_card

TARGET = 0.9
PROFILES = ("phone", "full")
NAMES = ("mobilefacenet-512", "mobilefacenet-192", "sface")

_nets: DeviceNets | None = None
_judges: dict[str, Any] = {}


def left_out_of(name: str) -> Recogniser:
    """A network of the zoo that is asked and attacks nothing."""
    card = load_card(name)
    return Recogniser(card, "judge", 0.0, session(Store(default_store()).read(card)))


def measure(job: tuple[Path, int, int, int, bool]) -> dict[str, Any] | None:
    """One photo, one rung, one recogniser left out: how far behind the others are; is it hidden."""
    global _nets  # noqa: PLW0603 - one set of networks a process
    lfw, count, number, rung, album = job
    if _nets is None:
        _nets = load_nets(BundleStore().current(), threads=1)
        _judges.update({name: left_out_of(name) for name in NAMES})
    pair = positive_pairs(lfw, TUNING, least=2)[:count][number]
    left_out = _judges[NAMES[number % len(NAMES)]]
    nets = replace(
        _nets, surrogates=tuple(s for s in _nets.surrogates if s.name != left_out.name), checkers=()
    )
    images = {
        p: np.asarray(Image.open(p).convert("RGB"))
        for p in (pair.enrolled, pair.task.target, *pair.task.album)
    }
    faces = {path: main_face(nets.detector, image) for path, image in images.items()}
    face, enrolled = faces[pair.task.target], faces[pair.enrolled]
    if face is None or enrolled is None:
        return None
    known = embed(images[pair.enrolled], enrolled, [left_out])[left_out.name]
    if (
        left_out.similarity(embed(images[pair.task.target], face, [left_out])[left_out.name], known)[0, 0]
        < left_out.threshold
    ):
        return None  # it did not match before
    buffer = io.BytesIO()
    Image.fromarray(images[pair.task.target]).save(buffer, "PNG")
    owner = [embed(images[p], f, nets.recognisers) for p in pair.task.album if (f := faces[p]) is not None]
    outcome = protect(
        read_photo(buffer.getvalue(), name="photo"),
        nets,
        ProtectOptions((AUTO[rung],), seed=number),
        album=album_of(owner) if album and owner else None,
    )
    report = min(outcome.faces, key=lambda f: abs(f.box[0] - face.box[0]) + abs(f.box[1] - face.box[1]))
    photo = published(outcome.saved, "shared")
    again = embed(photo, near(nets.detector.find(photo), face), [left_out])[left_out.name]
    return {
        "depth": min((v.threshold - v.after) / v.threshold for v in report.verdicts),
        "hidden": bool(left_out.similarity(again, known)[0, 0] < left_out.threshold),
        "rung": rung,
        "album": album,
    }


def choose(results: list[dict[str, Any]]) -> tuple[float, str]:
    """The share of the threshold, and what it rests on."""
    best = (-1.0, 0.0, 0)
    for share in np.arange(0.0, 1.01, 0.05):
        passed = [r for r in results if r["depth"] >= share]
        rate = sum(r["hidden"] for r in passed) / max(len(passed), 1)
        if len(passed) < max(5, len(results) // 10):
            break
        if rate > best[0]:
            best = (rate, float(share), len(passed))
        if rate >= TARGET:
            break
    rate, share, passed = best
    met = "" if rate >= TARGET else f" (no margin reaches {TARGET:.0%})"
    text = (
        f"leave-one-out over {len(NAMES)} recognisers on LFW sets 4-6, {len(results)} photos and rungs: "
        f"behind {share:.0%} of its threshold everywhere in {passed}, "
        f"and the one left out was hidden in {rate:.0%} of these{met}"
    )
    return share, text


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lfw", type=Path, required=True)
    parser.add_argument("--pairs", type=int, default=45)
    parser.add_argument("--out", type=Path, default=Path("cloud_server/bundles/margins.toml"))
    options = parser.parse_args()
    jobs = [
        (options.lfw, options.pairs, number, rung, album)
        for number in range(options.pairs)
        for rung in range(len(AUTO))
        for album in (False, True)
    ]
    results: list[dict[str, Any]] = []
    with Progress() as progress, get_context("spawn").Pool(2) as pool:
        task = progress.add_task("photos x rungs", total=len(jobs))
        for result in pool.imap_unordered(measure, jobs):
            results += [result] if result else []
            progress.advance(task)
    share, text = choose(results)
    for album in (False, True):
        for rung in range(len(AUTO)):
            some = [r for r in results if r["rung"] == rung and r["album"] == album]
            hidden, deep = np.mean([r["hidden"] for r in some]), np.mean([r["depth"] for r in some])
            print(f"{AUTO[rung]}, album {album}: hidden {hidden:.2f}, mean depth {deep:.2f}, n {len(some)}")  # noqa: T201
    lines = ["# Written by tests/bench/calibrate_margins.py; see there."]
    for profile in PROFILES:
        for judge in map(left_out_of, NAMES):
            lines += [
                f"[{profile}.{judge.name}]",
                f"margin = {share * judge.threshold:.4f}",
                f'calibration = "{text}"',
                "",
            ]
    options.out.write_text("\n".join(lines))
    print(text)  # noqa: T201 - a script's result


if __name__ == "__main__":
    main()
