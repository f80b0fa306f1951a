"""Tokens and their MAC: what is written is read, nothing else is, and no two meanings share a message."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from cloud_server.captcha.keys import Keys, parts
from cloud_server.captcha.tokens import MOST_TOKEN, Token, read_token, write_token
from cloud_server.captcha.types import Kind

KEYS = Keys(bytes(range(32)))
TEXTS = st.text(alphabet=st.characters(codec="utf-8"), max_size=60)
MILLISECONDS = st.integers(0, 4_000_000_000_000).map(lambda each: each / 1000)
TOKENS = st.builds(
    Token,
    st.binary(min_size=16, max_size=16),
    TEXTS,
    st.sampled_from(Kind),
    MILLISECONDS,
    MILLISECONDS,
    TEXTS,
    TEXTS,
    TEXTS,
)


@given(TOKENS)
def test_a_token_says_what_was_written(token: Token) -> None:
    read = read_token(write_token(token, KEYS), KEYS)
    assert read is not None
    assert replace(read, issued=token.issued, expires=token.expires) == token
    assert abs(read.issued - token.issued) <= 0.001
    assert abs(read.expires - token.expires) <= 0.001


@given(TOKENS, st.data())
def test_a_token_with_one_character_changed_is_none(token: Token, data: st.DataObject) -> None:
    text = write_token(token, KEYS)
    place = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.characters(codec="utf-8").filter(lambda each: each != text[place]))
    assert read_token(text[:place] + other + text[place + 1 :], KEYS) is None


@given(TOKENS, st.data())
def test_a_part_of_a_token_is_none_and_nothing_can_be_added(token: Token, data: st.DataObject) -> None:
    text = write_token(token, KEYS)
    assert read_token(text[: data.draw(st.integers(0, len(text) - 1))], KEYS) is None
    assert read_token(text + data.draw(st.sampled_from(["=", "A", "AAAA", " ", "\n"])), KEYS) is None


@given(TOKENS, st.binary(min_size=32, max_size=32))
def test_a_token_of_another_key_is_none(token: Token, key: bytes) -> None:
    other = Keys(key)
    same = key == bytes(range(32))
    assert (read_token(write_token(token, other), KEYS) is not None) == same


@given(st.text(max_size=2 * MOST_TOKEN))
def test_any_other_text_is_none(text: str) -> None:
    assert read_token(text, KEYS) is None
    assert read_token("gn1." + text, KEYS) is None


@given(st.lists(st.binary(max_size=8), max_size=6), st.lists(st.binary(max_size=8), max_size=6))
def test_other_fields_never_give_the_same_message(one: list[bytes], other: list[bytes]) -> None:
    assert (parts(one) == parts(other)) == (one == other)


@given(st.lists(st.binary(max_size=5), min_size=1, max_size=4), st.data())
def test_where_a_field_ends_changes_the_mac(fields: list[bytes], data: st.DataObject) -> None:
    joined = b"".join(fields)
    cut = data.draw(st.integers(0, len(joined)))
    moved = [joined[:cut], joined[cut:]]
    assert (KEYS.mac("a", *moved) == KEYS.mac("a", *fields)) == (moved == fields)
    assert KEYS.mac("a", *fields) != KEYS.mac("b", *fields)


@given(st.text(alphabet="ACDEFHJKLMNPRTVWXY3479", min_size=5, max_size=6), TEXTS)
def test_a_sealed_answer_opens_to_itself_in_any_case_and_to_no_other(answer: str, other: str) -> None:
    sealed = KEYS.seal(answer)
    assert sealed.length == len(answer)
    assert KEYS.opens(sealed, f" {answer[:2].lower()} -{answer[2:]}\n")
    assert not KEYS.opens(sealed, answer + "A")
    assert not KEYS.opens(sealed, answer[:-1])
    assert not KEYS.opens(sealed, other + "é")
    assert not Keys(bytes(32)).opens(sealed, answer)
    assert KEYS.seal(answer).seal != sealed.seal
