"""Measuring the zoo's recognisers on a folder of labelled faces: thresholds and accuracy."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from models.lfw import Faces, Pair, Photo, embeddings, find_faces, photos_of, read_pairs, read_sets
from models.store import Store, default_store, load_card
from models.verification import CALIBRATION_SETS, Accuracy, accuracy, measure_threshold
from shared.cards import Card, Threshold
from shared.faces.detect import Detector

__all__ = ["FOLDS", "accuracies", "thresholds"]

# A step's progress: opened with the step's title, called with how many are done and how many there are.
Progress = Callable[[str], AbstractContextManager[Callable[[int, int], None]]]

FOLDS = ((1, 2, 3), (4, 5, 6), (1, 2, 3, 4, 5, 6))


def thresholds(
    cards: Sequence[Card], folder: Path, *, far: float, cache: Path | None, progress: Progress
) -> Iterator[tuple[Card, Threshold]]:
    """The threshold of each network at a false accept rate, over all pairs of different people.

    Of LFW's folder, sets 4 to 6; of any other folder, everyone.

    Args:
        cards: recognisers in the store.
        folder: one folder of photos a person, or LFW's folder.
        far: false accept rate.
        cache: folder for landmarks and embeddings, or None.
        progress: opens a bar for a step.
    """
    store, sets = Store(default_store()), read_sets(folder)
    chosen = [name for number in CALIBRATION_SETS for name in sets.get(number, ())] or None
    photos = photos_of(folder, chosen)
    people = [photo.person for photo in photos]
    faces = _faces(store, folder, photos, cache, progress)
    same = _same_pairs(folder, photos) if chosen else ()
    data = f"LFW sets {CALIBRATION_SETS[0]}-{CALIBRATION_SETS[-1]}" if chosen else folder.name
    for card in cards:
        with progress(card.name) as report:
            vectors = embeddings(folder, faces, card, store.read(card), cache=cache, progress=report)
        yield card, measure_threshold(vectors, people, card.metric, far=far, data=data, same=same)


def _same_pairs(folder: Path, photos: Sequence[Photo]) -> list[tuple[int, int]]:
    row = {photo.key: index for index, photo in enumerate(photos)}
    pairs = (pair for pair in read_pairs(folder) if pair.same and pair.fold in CALIBRATION_SETS)
    return [(row[pair.first], row[pair.second]) for pair in pairs]


def accuracies(
    cards: Sequence[Card], folder: Path, *, cache: Path | None, progress: Progress
) -> Iterator[tuple[Card, tuple[int, ...], Accuracy]]:
    """Verification accuracy of each network on LFW's pairs: folds for reporting, for calibration, and all."""
    store, pairs = Store(default_store()), read_pairs(folder)
    keys = sorted({key for pair in pairs for key in (pair.first, pair.second)})
    faces = _faces(store, folder, [Photo("", key) for key in keys], cache, progress)
    for card in cards:
        with progress(card.name) as report:
            vectors = embeddings(folder, faces, card, store.read(card), cache=cache, progress=report)
        for folds in FOLDS:
            part: list[Pair] = [pair for pair in pairs if pair.fold in folds]
            if part:
                yield card, folds, accuracy(vectors, keys, part, card)


def _faces(
    store: Store, folder: Path, photos: Sequence[Photo], cache: Path | None, progress: Progress
) -> Faces:
    detector = Detector(store.read(load_card("yunet")))
    kept = cache / "landmarks.npz" if cache is not None else None
    with progress("finding faces") as report:
        return find_faces(folder, [photo.key for photo in photos], detector, cache=kept, progress=report)
