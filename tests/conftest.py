"""Fixtures that several folders of tests use."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pytest

from edge_client.devicenets import DeviceNets, load_nets
from edge_client.store import BundleStore
from shared.bundle import BundleObject, Hint, Manifest, Member, Profile, Role, sha256_hex
from shared.cards import Card, Licence, Origin

if TYPE_CHECKING:
    from cloud_server.captcha.types import Speaker


@pytest.fixture
def rng() -> np.random.Generator:
    """A seeded generator."""
    return np.random.default_rng(20221010)


@pytest.fixture(scope="session")
def zoo() -> Path:
    """The folder of converted models; fetched by `goodnoise-models fetch`, which `make test` runs first."""
    from models.store import default_store

    folder = default_store()
    if not (folder / "yunet.onnx").exists():
        pytest.fail(f"the model zoo is missing in {folder}; run 'goodnoise-models fetch'")
    return folder


@pytest.fixture(scope="session")
def photos() -> Path:
    """The folder of freely licensed photos that the project ships for its demo."""
    return Path(__file__).resolve().parent.parent / "deploy" / "photos"


@pytest.fixture
def noise_photo(rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """A small picture without a face, uint8 H W 3."""
    return rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)


MakeBundle = Callable[..., tuple[Manifest, dict[str, bytes]]]


@pytest.fixture
def make_bundle() -> MakeBundle:
    """Makes small bundles of stand-ins for networks: for what moves and keeps bundles, not what runs them.

    `make_bundle(version="1", created="2026-01-02T03:04:05Z", profile="full", hints={}, **objects)` returns
    the manifest and the objects' content by name; objects beyond detector and surrogate are checkers'.
    """

    def make(
        version: str = "1",
        created: str = "2026-01-02T03:04:05Z",
        profile: Profile = "full",
        hints: dict[str, bytes] | None = None,
        **objects: bytes,
    ) -> tuple[Manifest, dict[str, bytes]]:
        content = {"detector": b"detector", "surrogate": b"surrogate", **objects, **(hints or {})}
        roles: dict[str, Role] = {"detector": "detector", "surrogate": "surrogate"}
        members = tuple(
            Member(roles.get(name, "checker"), _stand_in_card(name), name)
            for name in content
            if name not in (hints or {})
        )
        manifest = Manifest(
            version=version,
            profile=profile,
            created=created,
            members=members,
            hints=tuple(Hint(name, "universal", name, "arcface112", "noise") for name in hints or {}),
            objects=tuple(BundleObject(name, sha256_hex(body), len(body)) for name, body in content.items()),
            accepted_licences=(),
            scores={},
        )
        return manifest, content

    return make


def _stand_in_card(name: str) -> Card:
    return Card(
        name=name,
        title=name,
        kind="detector" if name == "detector" else "recogniser",
        architecture="none",
        parameters=0,
        frame="arcface112",
        size=8,
        mean=(0.0, 0.0, 0.0),
        scale=1.0,
        embedding=4,
        metric="cosine",
        threshold=None,
        origin=Origin("file", "none", "0", "", (), ()),
        licence=Licence("none", "nowhere", "yes", "made for the tests"),
    )


@pytest.fixture(scope="session")
def device_home(zoo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A device's folder with a real `phone` bundle, built from the zoo."""
    home = tmp_path_factory.mktemp("device")
    script = Path(__file__).resolve().parent / "device" / "make_bundle.py"
    environment = {**os.environ, "GOODNOISE_MODELS": str(zoo)}
    subprocess.run([sys.executable, str(script), "--home", str(home)], check=True, env=environment)
    return home


@pytest.fixture(scope="session")
def nets(device_home: Path) -> DeviceNets:
    """The networks of the real `phone` bundle."""
    return load_nets(BundleStore(device_home).current())


class _Overhearing:
    """A speaker that remembers what it said."""

    def __init__(self, speaker: Speaker) -> None:
        self._speaker = speaker
        self.languages = speaker.languages
        self.heard: list[str] = []

    def speak(self, characters: str, *, language: str) -> bytes:
        self.heard.append(characters)
        return self._speaker.speak(characters, language=language)


@pytest.fixture(scope="session")
def overheard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[_Overhearing]:
    """The real speaker, for `captcha_server(speaker=...)`; `heard` has the digits that it spoke."""
    from cloud_server.captcha.audio.engine import find_engine
    from cloud_server.captcha.audio.speaker import DigitSpeaker
    from shared.errors import GoodnoiseError

    try:
        engine = find_engine()
    except GoodnoiseError as error:
        pytest.skip(error.message)
    languages = ("en", "de")
    speaker = DigitSpeaker(engine, languages, cache=tmp_path_factory.mktemp("speech"), patience=200)
    for language in languages:
        speaker.bank(language)
    yield _Overhearing(speaker)
    speaker.close()


@pytest.fixture
def captcha_server(tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Starts the CAPTCHA's HTTP side on loopback, over the real service on SQLite, in a thread.

    `captcha_server(hostnames=(), work_allowed=True, issues_a_day=0, work_bits=10, speaker=None,
    trusted_proxies=(), tls=None)`; see `tests/captcha_server.py` for what it returns.
    """
    yield from _captcha_servers(tmp_path)


@pytest.fixture(scope="module")
def lasting_captcha_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Any]]:
    """The same for a whole module."""
    yield from _captcha_servers(tmp_path_factory.mktemp("captcha"))


def _captcha_servers(folder: Path) -> Iterator[Callable[..., Any]]:
    start = runpy.run_path(str(Path(__file__).parent / "captcha_server.py"))["start"]
    running: list[Any] = []

    def begin(**options: Any) -> Any:
        running.append(start(folder / f"captcha-{len(running)}.sqlite", **options))
        return running[-1]

    yield begin
    for server in running:
        server.close()


@pytest.fixture(scope="session")
def short_class(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset for augmentation: folders of 16 x 16 pictures, 60 cats, 60 dogs and 12 emus, by stripes."""
    from PIL import Image

    root, rng = tmp_path_factory.mktemp("short") / "pictures", np.random.default_rng(5)
    rows, columns = np.mgrid[:16, :16]
    for name, count, phase in (("cat", 60, columns), ("dog", 60, rows), ("emu", 12, rows + columns)):
        (root / name).mkdir(parents=True)
        stripes = 128 + 22 * np.sin(1.2 * phase)[..., None]
        for number in range(count):
            picture = np.clip(stripes + rng.normal(0, 25, (16, 16, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(picture).save(root / name / f"{number:03d}.png")
    return root


class Recipes:
    """Writes recipe files, with a surrogate that is trained once for all of them."""

    def __init__(self, folder: Path, dataset: Path) -> None:
        self.folder, self.dataset = folder, dataset

    def __call__(self, recipe: str = "m2m", *lines: str) -> Path:
        """A file of that recipe and further lines; twelve shards."""
        path = self.folder / f"recipe-{len(list(self.folder.iterdir()))}.yaml"
        surrogate = f"surrogate: {{path: {self.folder / 'surrogate.npz'}}}"
        path.write_text("\n".join([f"recipe: {recipe}", surrogate, "shard: 4", *lines, ""]))
        return path


@pytest.fixture(scope="session")
def recipe_file(short_class: Path, tmp_path_factory: pytest.TempPathFactory) -> Recipes:
    """`recipe_file("m2m", "seed: 3")` writes a recipe file for `short_class`."""
    from cloud_server.augment.formats import open_source
    from cloud_server.augment.training import SurrogateTraining, train_network
    from models.vision.saving import save_classifier

    folder = tmp_path_factory.mktemp("recipes")
    settings = SurrogateTraining("tiny", updates=40, batch=32, augment="none")
    made = train_network(open_source(short_class), settings, seed=0)
    path = folder / "surrogate.npz"
    save_classifier(path, made.network, name="tiny", classes=made.classes, shape=made.shape)
    return Recipes(folder, short_class)


def digests(*folders: Path) -> dict[str, str]:
    """SHA-256 of every file below some folders."""
    return {
        str(path.relative_to(folder)): sha256_hex(path.read_bytes())
        for folder in folders
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="session")
def tree() -> Callable[..., dict[str, str]]:
    """`tree(folder)`: the digest of every file below it, by its path."""
    return digests
