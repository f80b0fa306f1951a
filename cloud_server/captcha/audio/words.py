"""What each language says for its digits, and with which voice of the engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

__all__ = ["DIGITS", "LANGUAGES", "Spoken", "match_language"]

DIGITS = "0123456789"


@dataclass(frozen=True)
class Spoken:
    """How a language speaks digits.

    Args:
        voices: names that eSpeak NG gives its voices; one is drawn for each recording.
        words: for the digits 0 to 9, in the voices' own spelling.
    """

    voices: tuple[str, ...]
    words: tuple[str, ...]


# Ordinary digits are enough for most engines' rules. Words stand where a digit's usual reading is heard as
# another digit's, as on the telephone, or where versions of the engine read the digit differently.
LANGUAGES: Mapping[str, Spoken] = MappingProxyType(
    {
        "en": Spoken(("en-us", "en"), tuple(DIGITS)),
        "de": Spoken(("de",), ("null", "eins", "zwo", *DIGITS[3:])),  # zwei is heard as drei
        "fr": Spoken(("fr",), tuple(DIGITS)),
        "es": Spoken(("es", "es-419"), tuple(DIGITS)),
        "pt": Spoken(("pt-br", "pt"), tuple(DIGITS)),
        "it": Spoken(("it",), tuple(DIGITS)),
        "nl": Spoken(("nl",), tuple(DIGITS)),
        "zh": Spoken(
            ("cmn-latn-pinyin",),
            # yao: yi is heard as qi
            ("ling2", "yao1", "er4", "san1", "si4", "wu3", "liu4", "qi1", "ba1", "jiu3"),
        ),
        "ja": Spoken(("ja",), ("ゼロ", "いち", "に", "さん", "よん", "ご", "ろく", "なな", "はち", "きゅう")),
    }
)


def match_language(wanted: str, spoken: Sequence[str]) -> str:
    """The language of `spoken` nearest to `wanted`, as `pt` to `pt-BR`; else English, else the first.

    Raises:
        ValueError: `spoken` is empty.
    """
    if not spoken:
        raise ValueError("no language is spoken; offer no audio")
    primary = wanted.lower().replace("_", "-").split("-", 1)[0]
    for language in (primary, "en"):
        if language in spoken:
            return language
    return spoken[0]
