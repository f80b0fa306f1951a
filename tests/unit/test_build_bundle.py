"""Bundles assembled from the real zoo: what goes in, what is refused, and what a second build changes."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
from typer.testing import CliRunner

from cloud_server.bundles.build import NOTICE, Assembled, Order, assemble, build_bundle, content_id
from cloud_server.bundles.profiles import RECIPES, recipe_for
from cloud_server.bundles.store import PublishedBundles
from cloud_server.cli import app
from cloud_server.hints.files import write_hint
from models.store import Store, load_card
from shared.bundle import PROFILE_BYTES, manifest_from_json, manifest_to_json, sha256_hex
from shared.errors import Code, GoodnoiseError

pytestmark = pytest.mark.zoo

UNCLEAR = ("mobilefacenet-512", "mobilefacenet-192")
CREATED = datetime(2025, 1, 31, 12, 0, tzinfo=UTC)
# One small surrogate and nothing else: what a test needs that is not about the profile itself.
SMALL = Order(
    profile="phone",
    accepted_licences=("mobilefacenet-192",),
    surrogates=("mobilefacenet-192",),
    checkers=(),
    hints=(),
    created=CREATED,
)

OWN_CARD = """
name = "NAME"
title = "An operator's own"
kind = "recogniser"
architecture = "MobileFaceNet"
parameters = 1
frame = "arcface112"
size = 112
mean = 0
scale = 1.0
embedding = SIZE
metric = "METRIC"
[origin]
registry = "file"
package = "own"
version = "1"
sha256 = ""
files = []
file_sha256 = []
[licence]
name = "proprietary"
stated_in = "a contract"
redistribution = "no"
evidence = "The contract forbids it."
"""
THRESHOLD = '[threshold]\nvalue = 0.3\nfar = 1e-3\ntar = 0.9\ndata = "own"\n'


@pytest.fixture(scope="module")
def phone(zoo: Path) -> Assembled:
    accepted = (*UNCLEAR, "sface-student")
    return assemble(Order(profile="phone", accepted_licences=accepted, hints=(), created=CREATED))


@pytest.fixture
def own_zoo(zoo: Path, tmp_path: Path) -> Store:
    """A zoo with the project's networks, to which a test adds its own."""
    folder = tmp_path / "models"
    folder.mkdir()
    for path in zoo.glob("*.onnx"):
        (folder / path.name).symlink_to(path)
    return Store(folder)


def add_own(store: Store, name: str, origin: str, *, threshold: bool = True, metric: str = "cosine") -> None:
    card = load_card(origin)
    text = OWN_CARD.replace("NAME", name).replace("SIZE", str(card.embedding)).replace("METRIC", metric)
    text += THRESHOLD if threshold else ""
    own = replace(card, name=name)
    store.put_own(own, text, store.read(card))


def a_hint(folder: Path, name: str, seed: int = 0) -> Path:
    path = folder / f"{name}.npy"
    levels = np.random.default_rng(seed).integers(-8, 9, (3, 112, 112)).astype(np.int8)
    write_hint(path, levels, {"trained_on": "noise"})
    return path


def refusal(order: Order) -> GoodnoiseError:
    with pytest.raises(GoodnoiseError) as caught:
        assemble(order)
    return caught.value


def test_the_phone_bundle_holds_a_student_and_leaves_its_teacher_in_the_cloud(phone: Assembled):
    manifest = phone.manifest
    roles = [(member.role, member.card.name) for member in manifest.members]
    assert roles == [
        ("detector", "yunet"),
        ("surrogate", "mobilefacenet-512"),
        ("surrogate", "mobilefacenet-192"),
        ("surrogate", "sface-student"),
    ]
    assert manifest.size <= PROFILE_BYTES["phone"]
    for item in manifest.objects:
        assert (sha256_hex(phone.objects[item.name]), len(phone.objects[item.name])) == (
            item.sha256,
            item.size,
        )
    assert manifest_from_json(manifest_to_json(manifest)) == manifest


def test_a_device_can_run_every_network_of_the_bundle(phone: Assembled, rng: np.random.Generator):
    faces = rng.random((2, 3, 112, 112), dtype=np.float32)
    for member in phone.manifest.members[1:]:
        running = ort.InferenceSession(phone.objects[member.object_name], providers=["CPUExecutionProvider"])
        anchors = rng.standard_normal((2, 1, member.card.embedding)).astype(np.float32)
        inputs = {"face": faces, "anchors": anchors, "weights": np.full((2, 1), -1, np.float32)}
        loss, gradient = running.run(["loss", "gradient"], inputs)
        step = np.float32(1e-2) * gradient / np.linalg.norm(gradient)
        higher = running.run(["loss"], {**inputs, "face": faces + step})[0]
        assert higher.sum() > loss.sum()


def test_the_notice_names_each_origin_licence_and_evidence(phone: Assembled):
    text = phone.objects[NOTICE].decode()
    for member in phone.manifest.members:
        card = member.card
        for fact in (
            card.name,
            card.origin.package,
            card.origin.version,
            card.licence.name,
            card.licence.evidence,
        ):
            assert fact in text
        assert all(digest in text for digest in card.origin.file_sha256)
    assert "Apache License" in text
    assert "Permission is hereby granted" in text


def test_the_full_bundle_attacks_three_networks_within_its_size(zoo: Path):
    made = assemble(Order(profile="full", accepted_licences=UNCLEAR, created=CREATED))
    assert [m.card.name for m in made.manifest.with_role("surrogate")] == [*UNCLEAR, "sface"]
    assert made.manifest.size <= PROFILE_BYTES["full"]
    assert made.manifest.accepted_licences == tuple(sorted(UNCLEAR))


def test_no_profile_holds_a_judge():
    for recipe in RECIPES.values():
        assert "dlib-resnet" not in [part.name for part in (*recipe.surrogates, *recipe.checkers)]
    with pytest.raises(GoodnoiseError, match="'dlib-resnet' is a judge"):
        recipe_for("full", checkers=["dlib-resnet"])


def test_a_network_has_one_role():
    with pytest.raises(GoodnoiseError, match="'sface' is named twice"):
        recipe_for("phone", surrogates=["sface"], checkers=["sface"])


def test_weights_of_unclear_licence_are_refused_with_evidence_and_command():
    error = refusal(replace(SMALL, accepted_licences=(), surrogates=UNCLEAR))
    assert error.code is Code.PERMISSION
    for name in UNCLEAR:
        assert name in error.message
        assert load_card(name).licence.evidence in error.message
    assert error.message.endswith(
        "goodnoise-cloud bundle build --profile phone "
        "--accept-licence mobilefacenet-512 --accept-licence mobilefacenet-192"
    )


def test_weights_that_must_not_be_passed_on_need_to_be_accepted_by_name(own_zoo: Store):
    add_own(own_zoo, "ours", "mobilefacenet-192")
    order = replace(
        SMALL, surrogates=("ours",), accepted_licences=("mobilefacenet-192",), models=own_zoo.folder
    )
    error = refusal(order)
    assert (error.code, error.details) == (Code.PERMISSION, {"missing": "ours"})
    made = assemble(replace(order, accepted_licences=("ours",)))
    assert made.manifest.accepted_licences == ("ours",)


def test_a_network_without_threshold_is_refused_with_the_command_that_measures_it(own_zoo: Store):
    add_own(own_zoo, "ours", "mobilefacenet-192", threshold=False)
    error = refusal(replace(SMALL, surrogates=("ours",), models=own_zoo.folder))
    assert error.code is Code.PRECONDITION
    assert "goodnoise-models threshold ours" in error.message


def test_a_network_compared_by_distance_can_be_a_checker_only(own_zoo: Store):
    add_own(own_zoo, "ours", "mobilefacenet-192", metric="euclidean")
    error = refusal(replace(SMALL, surrogates=("ours",), models=own_zoo.folder))
    assert "checker only" in error.message
    order = replace(SMALL, checkers=("ours",), accepted_licences=("ours", "mobilefacenet-192"))
    made = assemble(replace(order, models=own_zoo.folder))
    assert [member.card.name for member in made.manifest.with_role("checker")] == ["ours"]


def test_a_bundle_too_large_for_its_profile_names_its_largest_objects(own_zoo: Store):
    add_own(own_zoo, "ours", "sface")
    order = replace(
        SMALL, surrogates=("mobilefacenet-192",), checkers=("sface", "ours"), models=own_zoo.folder
    )
    error = refusal(replace(order, accepted_licences=("ours", "mobilefacenet-192")))
    assert error.code is Code.PRECONDITION
    assert "allows 15 MB" in error.message
    assert "checker/ours.onnx" in error.message


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"surrogates": ("nobody",)}, "there is no network 'nobody'; known are"),
        ({"accepted_licences": ("mobilefacenet-129",)}, "there is no network 'mobilefacenet-129'"),
        ({"surrogates": ("yunet",)}, "'yunet' is a detector and cannot be a surrogate"),
        ({"surrogates": ()}, "needs at least one surrogate"),
    ],
)
def test_names_that_cannot_go_in_are_refused(change: dict[str, tuple[str, ...]], words: str):
    assert words in refusal(replace(SMALL, **change)).message


def test_networks_that_were_not_fetched_are_named_with_the_way_out(tmp_path: Path):
    error = refusal(replace(SMALL, models=tmp_path))
    assert error.code is Code.PRECONDITION
    assert "goodnoise-models fetch" in error.message


def test_the_same_order_gives_the_same_bytes_and_version(zoo: Path):
    first, second = assemble(SMALL), assemble(SMALL)
    assert manifest_to_json(first.manifest) == manifest_to_json(second.manifest)
    assert first.objects == second.objects
    assert first.manifest.version == f"2025.01.31-{content_id(first.manifest)[:8]}"


def test_a_second_build_changes_nothing_and_new_content_is_published_beside_the_old(
    zoo: Path, tmp_path: Path
):
    out = tmp_path / "published"
    first = build_bundle(SMALL, out)
    again = build_bundle(replace(SMALL, created=datetime(2025, 6, 1, tzinfo=UTC)), out)
    assert (first.changed, again.changed) == (True, False)
    assert again.manifest == first.manifest
    with_hint = replace(SMALL, hints=(a_hint(tmp_path, "noise"),), created=datetime(2025, 6, 1, tzinfo=UTC))
    newer = build_bundle(with_hint, out)
    assert newer.changed
    held = {manifest.version for manifest in PublishedBundles(out).held()}
    assert held == {first.manifest.version, newer.manifest.version}


def test_content_that_comes_back_on_the_same_day_gets_a_version_of_its_own(zoo: Path, tmp_path: Path):
    out = tmp_path / "published"
    first = build_bundle(SMALL, out)
    build_bundle(replace(SMALL, hints=(a_hint(tmp_path, "noise"),), created=CREATED.replace(hour=13)), out)
    back = build_bundle(replace(SMALL, created=CREATED.replace(hour=14)), out)
    assert back.manifest.version == f"{first.manifest.version}.2"
    assert content_id(back.manifest) == content_id(first.manifest)


def test_margins_and_scores_travel_in_the_manifest(zoo: Path, tmp_path: Path):
    margins, scores = tmp_path / "m.toml", tmp_path / "s.toml"
    margins.write_text('[phone.mobilefacenet-192]\nmargin = 0.05\ncalibration = "leave one out"\n')
    scores.write_text("[all]\nnoise = 0.01\n[phone]\npng = 0.9\n[full]\npng = 0.95\n")
    made = assemble(replace(SMALL, margins=margins, scores=scores))
    surrogate = made.manifest.with_role("surrogate")[0]
    assert (surrogate.margin, surrogate.calibration) == (0.05, "leave one out")
    assert made.manifest.scores == {"noise": 0.01, "png": 0.9}


def test_what_was_not_calibrated_says_so(zoo: Path, tmp_path: Path):
    margins = tmp_path / "m.toml"
    margins.write_text("[full.sface]\nmargin = 0.05\n")
    surrogate = assemble(replace(SMALL, margins=margins)).manifest.with_role("surrogate")[0]
    assert (surrogate.margin, surrogate.calibration) == (0.0, "not calibrated")


def test_two_hints_of_one_name_are_refused(zoo: Path, tmp_path: Path):
    (tmp_path / "a").mkdir()
    error = refusal(replace(SMALL, hints=(a_hint(tmp_path, "noise"), a_hint(tmp_path / "a", "noise"))))
    assert "two hints are named 'noise'" in error.message


def test_the_command_publishes_and_shows_what_it_published(zoo: Path, tmp_path: Path):
    out = tmp_path / "published"
    base = ["bundle", "build", "--out", str(out), "--profile", "phone", "--surrogate", "mobilefacenet-192"]
    built = CliRunner().invoke(app, [*base, "--no-hints", "--accept-licence", "mobilefacenet-192"])
    assert built.exit_code == 0, built.output
    assert "built" in built.stdout
    assert (
        "unchanged"
        in CliRunner().invoke(app, [*base, "--no-hints", "--accept-licence", "mobilefacenet-192"]).stdout
    )
    shown = CliRunner().invoke(app, ["bundle", "show", "--bundles", str(out), "--json"])
    assert [item["profile"] for item in json.loads(shown.stdout)] == ["phone"]
    table = CliRunner().invoke(app, ["bundle", "show", "--bundles", str(out)]).stdout
    assert "mobilefacenet-192" in table
    assert "accepted by name" in table


def test_the_command_that_the_refusal_shows_is_the_one_to_run(zoo: Path, tmp_path: Path):
    words = [
        "bundle",
        "build",
        "--out",
        str(tmp_path),
        "--profile",
        "phone",
        "--surrogate",
        "mobilefacenet-192",
    ]
    refused = CliRunner().invoke(app, [*words, "--no-hints"])
    assert refused.exit_code == 2
    command = refused.stderr.strip().splitlines()[-1].split()
    assert command[0] == "goodnoise-cloud"
    assert CliRunner().invoke(app, command[1:]).exit_code == 0


def test_building_loads_no_torch(zoo: Path, tmp_path: Path):
    program = (
        "import sys; sys.modules['torch'] = None\n"
        "from cloud_server.cli import app\n"
        f"app(['bundle', 'build', '--out', {str(tmp_path)!r}, '--profile', 'phone', '--surrogate',"
        " 'mobilefacenet-192', '--accept-licence', 'mobilefacenet-192'])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert PublishedBundles(tmp_path).profiles() == ("phone",)
