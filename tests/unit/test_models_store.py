from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from models.store import Store, all_cards, default_store, load_card, parse_card, zoo_cards
from shared.cards import Card, Threshold, card_to_dict
from shared.errors import Code, GoodnoiseError


@pytest.fixture
def card() -> Card:
    return load_card("sface")


def test_the_zoo_has_its_networks_and_each_says_where_it_comes_from() -> None:
    cards = zoo_cards()
    assert sorted(cards) == [
        "captcha-whisperer",
        "dlib-resnet",
        "facemesh",
        "mobilefacenet-192",
        "mobilefacenet-512",
        "ppocr-v6-rec",
        "sface",
        "sface-student",
        "yunet",
    ]
    for card in cards.values():
        assert len(card.origin.sha256) == 64
        assert all(len(value) == 64 for value in card.origin.file_sha256)
        assert card.licence.evidence
        assert card.licence.stated_in


def test_every_recogniser_has_a_threshold_measured_away_from_the_reporting_sets() -> None:
    for card in zoo_cards().values():
        if card.kind == "recogniser":
            assert card.threshold is not None
            assert card.threshold.far == 1e-3
            assert "sets 4-6" in card.threshold.data


def test_a_setting_moves_the_store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GOODNOISE_MODELS", str(tmp_path / "elsewhere"))
    assert default_store() == tmp_path / "elsewhere"
    monkeypatch.delenv("GOODNOISE_MODELS")
    assert default_store().name == "models"


def test_what_was_put_is_current_and_read_back(tmp_path: Path, card: Card) -> None:
    store = Store(tmp_path)
    store.put(card, 1, b"network")
    assert store.read(card) == b"network"
    assert store.is_current(card, 1)
    assert not list(tmp_path.glob(".*")), "no half-written files stay"


def test_a_network_is_stale_when_converter_origin_or_bytes_change(tmp_path: Path, card: Card) -> None:
    store = Store(tmp_path)
    assert not store.is_current(card, 1)
    store.put(card, 1, b"network")
    assert not store.is_current(card, 2)
    assert not store.is_current(replace(card, scale=0.5), 1)
    store.path(card).write_bytes(b"networ")
    assert not store.is_current(card, 1)


def test_a_new_threshold_does_not_convert_again(tmp_path: Path, card: Card) -> None:
    store = Store(tmp_path)
    store.put(card, 1, b"network")
    assert store.is_current(replace(card, threshold=Threshold(0.1, 1e-3, 0.9, "other faces"), notes="new"), 1)


def test_a_network_that_was_not_fetched_says_how(tmp_path: Path, card: Card) -> None:
    with pytest.raises(GoodnoiseError, match="goodnoise-models fetch") as caught:
        Store(tmp_path).read(card)
    assert caught.value.code is Code.PRECONDITION


def test_an_unknown_name_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(GoodnoiseError, match=r"'facenet'.*dlib-resnet") as caught:
        load_card("facenet", tmp_path)
    assert caught.value.code is Code.NOT_FOUND


def test_own_recognisers_are_among_all_cards(tmp_path: Path, card: Card) -> None:
    store, own = Store(tmp_path), replace(card, name="mine")
    store.put_own(own, _toml(own), b"network")
    assert all_cards(tmp_path)["mine"] == own
    assert store.read(all_cards(tmp_path)["mine"]) == b"network"
    assert "mine" not in zoo_cards()


def test_a_card_that_is_no_toml_names_its_file() -> None:
    with pytest.raises(GoodnoiseError, match=r"mine\.toml is no valid TOML"):
        parse_card("name = ", source="mine.toml")


@pytest.mark.parametrize("mean", ['"grey"', "[1, 2]", "true"])
def test_a_mean_is_one_number_or_three(card: Card, mean: str) -> None:
    with pytest.raises(GoodnoiseError, match="mean"):
        parse_card(_toml(card).replace("mean = [0.0, 0.0, 0.0]", f"mean = {mean}"), source="mine.toml")


def _toml(card: Card) -> str:
    tables, plain = [], []
    for key, value in card_to_dict(card).items():
        if isinstance(value, dict):
            lines = [f"{name} = {_value(item)}" for name, item in value.items()]
            tables.append("\n".join([f"[{key}]", *lines]))
        elif value is not None:
            plain.append(f"{key} = {_value(value)}")
    return "\n".join([*plain, *tables])


def _value(item: object) -> str:
    if isinstance(item, (list, tuple)):
        return "[" + ", ".join(_value(part) for part in item) + "]"
    return f'"{item}"' if isinstance(item, str) else str(item)
