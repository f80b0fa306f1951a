"""What a bundle's hints are trained from: once, resumed, measured, and in the bundle at the end."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cloud_server.hints.clusters import average_faces, cluster_file, faces_of_cluster, train_clusters
from cloud_server.hints.data import FaceSet
from cloud_server.hints.nets import load_net
from cloud_server.hints.train import Provenance
from cloud_server.hints.universal import Training
from models.store import Store, default_store, load_card
from shared.errors import Code, GoodnoiseError
from shared.levels.cluster import cluster_of_face

pytestmark = [pytest.mark.zoo]


def _faces(count: int = 12) -> FaceSet:
    rng = np.random.default_rng(3)
    smooth = rng.random((count, 3, 8, 8)).repeat(14, axis=2).repeat(14, axis=3)
    people = tuple(f"person {i // 2}" for i in range(count))
    return FaceSet((smooth * 255).astype(np.uint8), people, np.linspace(-9, 9, count))


def _zoo(folder: Path) -> Store:
    """A store of its own, so that the user's is not touched."""
    store = Store(folder)
    for name in ("mobilefacenet-512", "mobilefacenet-192", "sface"):
        card = load_card(name)
        store.path(card).parent.mkdir(parents=True, exist_ok=True)
        store.path(card).symlink_to(Store(default_store()).path(card))
    return store


@pytest.mark.torch
def test_a_bundle_trains_once_and_goes_on_where_it_was_cut_off(tmp_path: Path, zoo: None) -> None:
    torch = pytest.importorskip("torch")
    from cloud_server.bundles.training import TrainingOrder, train_for_bundle

    torch.set_num_threads(1)
    faces, store = _faces(), _zoo(tmp_path / "zoo")
    order = TrainingOrder(work=tmp_path / "work", data="patches", student_steps=2, epochs=1)

    def stop(what: str, done: int, _total: int, _note: str) -> None:
        if (what, done) == ("universal-left", 1):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_for_bundle(faces, order, store, report=stop)
    seen: list[str] = []
    made = train_for_bundle(faces, order, store, report=lambda what, *_: seen.append(what))
    assert "student" not in seen  # it was finished before
    assert seen[-1] == "universal-right"
    assert made.student in {path.stem for path in (tmp_path / "zoo" / "own").glob("*.onnx")}
    assert [path.name for path in made.hints] == ["universal-left.npy", "universal-right.npy"]
    assert made.measured["student"]["held_out"]["student"]["transfer"] <= 1
    assert made.measured["universal-left"]["recognisers"]["sface"]["similarity"] <= 1

    seen.clear()
    assert train_for_bundle(faces, order, store, report=lambda what, *_: seen.append(what)) == made
    assert seen == []


def test_a_cluster_holds_its_faces_and_mirrored_ones() -> None:
    faces = _faces(40)
    for number in range(16):
        chosen = faces_of_cluster(faces, number)
        kinds = {
            cluster_of_face(float(turn), levels.astype(np.float32), large=False) // 2
            for turn, levels in zip(chosen.turn, chosen.levels, strict=True)
        }
        assert kinds <= {number // 2}
    counts = [len(faces_of_cluster(faces, number)) for number in range(0, 16, 2)]
    assert sum(counts) >= 40
    assert max(counts) > 0


def test_a_cluster_without_faces_is_named(tmp_path: Path) -> None:
    one = _faces(2)
    with pytest.raises(GoodnoiseError, match=r"cluster 0 .turned far left") as caught:
        train_clusters(
            tmp_path,
            one,
            [],
            Training(),
            provenance=Provenance(data="", command="", backend="onnx"),
            reports=lambda _: lambda *_: None,
        )
    assert caught.value.code is Code.PRECONDITION
    assert list(tmp_path.iterdir()) == []


def test_every_cluster_gets_a_perturbation(tmp_path: Path, zoo: None) -> None:
    faces = _faces(60)
    net = load_net("mobilefacenet-512", Store(default_store()))
    made = train_clusters(
        tmp_path,
        faces,
        [net],
        Training(epochs=1, batch=40),
        provenance=Provenance(data="patches", command="", backend="onnx"),
        most=8,
        reports=lambda _: lambda *_: None,
    )
    assert sorted(made) == list(range(16))
    levels = [np.load(cluster_file(tmp_path, number)) for number in range(16)]
    assert all(np.abs(item).max() <= 8 and np.abs(item).max() > 0 for item in levels)
    assert np.array_equal(levels[0], levels[1])  # small and large faces share a frame
    assert not np.array_equal(levels[0], levels[2])


def test_mean_faces_are_of_many_people_or_refused() -> None:
    many = _faces(400)
    means = average_faces(many)
    assert means.shape == (8, 3, 112, 112)
    # A mean over dozens of people is flatter than any of them.
    assert means.astype(np.float32).std() < many.levels.astype(np.float32).std() / 2
    with pytest.raises(GoodnoiseError, match="would show them"):
        average_faces(_faces(20))
