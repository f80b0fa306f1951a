"""The audio challenge: digits in noise, never twice the same, recorded by an engine in its own process."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import threading
import time
import wave
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from cloud_server.captcha.audio import DigitSpeaker, SoundStyle, match_language, open_speaker
from cloud_server.captcha.audio.bank import Bank, record_bank
from cloud_server.captcha.audio.engine import RATE, Engine, ProgramEngine, Samples, Utterance, find_engine
from cloud_server.captcha.audio.listener import TemplateListener
from cloud_server.captcha.audio.measure import legibility
from cloud_server.captcha.audio.shelf import Renewal
from cloud_server.captcha.audio.wav import read_wav, resample, write_wav
from shared.errors import Code, GoodnoiseError
from shared.wire.status import RETRY_AFTER

PATIENCE = 200.0  # a busy machine fails no test
LANGUAGES = ("en", "de", "fr", "es", "pt", "it", "nl", "zh", "ja")


class Broken:
    """An engine that fails, and counts how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    def record(self, utterances: Sequence[Utterance]) -> list[Samples]:
        self.asked += 1
        raise GoodnoiseError(Code.UNAVAILABLE, "broken")


class Mute:
    def record(self, utterances: Sequence[Utterance]) -> list[Samples]:
        return [np.zeros(0, np.float32) for _ in utterances]


class Counting:
    """An engine that says when it is asked, waits until it may speak, and counts."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.may_speak = threading.Event()
        self.asked = 0

    def record(self, utterances: Sequence[Utterance]) -> list[Samples]:
        self.asked += 1
        assert self.may_speak.wait(PATIENCE)
        return self._engine.record(utterances)


@pytest.fixture(scope="module")
def library() -> Engine:
    """The engine of the PyPI package, as where the system has none."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", "")
        return find_engine()


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("audio")


@pytest.fixture(scope="module")
def speaker(library: Engine, cache: Path) -> DigitSpeaker:
    return open_speaker(engine=library, cache=cache, patience=PATIENCE)


def test_a_sound_is_wav_of_16_bits_mono_16_khz(speaker: DigitSpeaker) -> None:
    with wave.open(io.BytesIO(speaker.speak("274915", language="en"))) as sound:
        assert (sound.getnchannels(), sound.getsampwidth(), sound.getframerate()) == (1, 2, 16_000)
        assert 4 < sound.getnframes() / 16_000 < 14
        samples = np.frombuffer(sound.readframes(sound.getnframes()), "<i2")

    assert np.abs(samples).max() > 8000
    assert np.abs(samples).max() < 32_767  # nothing is clipped


def test_no_two_sounds_are_alike(speaker: DigitSpeaker) -> None:
    sounds = [read_wav(speaker.speak("111111", language="en"), rate=RATE) for _ in range(6)]

    assert len({len(sound) for sound in sounds}) > 1
    for i, one in enumerate(sounds):
        for other in sounds[:i]:
            n = min(len(one), len(other))
            likeness = np.abs(
                np.fft.irfft(np.fft.rfft(one[:n], 2 * n) * np.conj(np.fft.rfft(other[:n], 2 * n)))
            )
            assert likeness.max() / np.linalg.norm(one[:n]) / np.linalg.norm(other[:n]) < 0.8


def test_the_same_generator_gives_the_same_sound(speaker: DigitSpeaker) -> None:
    first, again, other = (
        speaker.speak("274915", language="en", rng=np.random.default_rng(seed)) for seed in (3, 3, 4)
    )

    assert first == again != other


@pytest.mark.parametrize("text", ["7", "274915", "000000", "012345678901"])
def test_every_character_is_spoken_once_and_apart(speaker: DigitSpeaker, text: str) -> None:
    mixed = speaker.mixed(text, language="en")

    assert len(mixed.spans) == len(text)
    ends = [0, *(end for _, end in mixed.spans)]
    assert all(begin - before > 0.3 * RATE for before, (begin, _) in zip(ends, mixed.spans, strict=False))
    assert ends[-1] < len(mixed.samples)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_listener_of_templates_hears_the_digits(speaker: DigitSpeaker, language: str) -> None:
    figure = legibility(speaker, language, np.random.default_rng(11), sounds=15)

    assert figure.heard >= 0.95


def test_a_listener_hears_nothing_where_noise_covers_the_digits(library: Engine, cache: Path) -> None:
    speaker = DigitSpeaker(library, ("en",), cache=cache, patience=PATIENCE, style=SoundStyle(snr=-25))

    assert legibility(speaker, "en", np.random.default_rng(11), sounds=25).heard < 0.4


@pytest.mark.parametrize("snr", [-3.0, 5.0, 12.0])
def test_the_noise_is_as_loud_as_the_style_says(library: Engine, cache: Path, snr: float) -> None:
    speaker = DigitSpeaker(library, ("en",), cache=cache, patience=PATIENCE, style=SoundStyle(snr=snr))
    mixed = speaker.mixed("274915", language="en")

    quiet = np.ones(len(mixed.samples), bool)
    for begin, end in mixed.spans:
        quiet[begin:end] = False
    noise = np.mean(mixed.samples[quiet] ** 2)
    both = np.mean(mixed.samples[~quiet] ** 2)
    assert mixed.snr == pytest.approx(snr, abs=0.01)
    assert 10 * np.log10(both / noise) == pytest.approx(10 * np.log10(1 + 10 ** (snr / 10)), abs=2.5)


def test_the_listener_tells_clean_digits_of_other_recordings(
    speaker: DigitSpeaker, library: Engine, tmp_path: Path
) -> None:
    stranger = record_bank("en", library, np.random.default_rng(0), variants=6)
    quiet = DigitSpeaker(library, ("en",), cache=tmp_path, style=SoundStyle(snr=40))
    quiet.bank = lambda language: stranger  # type: ignore[method-assign]
    listener = TemplateListener.of(speaker.bank("en"))

    assert listener.hear(quiet.mixed("0123456789", language="en")) == "0123456789"


@pytest.mark.parametrize("language", ["xx", "", "EN", "../en", "pt-BR"])
def test_a_language_that_is_not_spoken_is_named_with_those_that_are(
    speaker: DigitSpeaker, language: str
) -> None:
    with pytest.raises(GoodnoiseError, match=r"is not spoken; expected one of en, de, ") as caught:
        speaker.speak("274915", language=language)

    assert caught.value.code is Code.INVALID_INPUT


@pytest.mark.parametrize("text", ["", "12a456", "٣٤٥", "1 2", "1234567890123"])
def test_only_digits_are_spoken(speaker: DigitSpeaker, text: str) -> None:
    with pytest.raises(ValueError, match="digits to speak") as caught:
        speaker.speak(text, language="en")

    assert not text or text not in str(caught.value)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [("de", "de"), ("pt-BR", "pt"), ("zh_Hant_TW", "zh"), ("DE-at", "de"), ("pl", "en"), ("", "en")],
)
def test_the_nearest_language_is_matched(wanted: str, found: str) -> None:
    assert match_language(wanted, LANGUAGES) == found


def test_without_english_the_first_language_is_matched() -> None:
    assert match_language("pl", ("nl", "fr")) == "nl"
    with pytest.raises(ValueError, match="offer no audio"):
        match_language("pl", ())


def test_recordings_outlive_the_speaker(speaker: DigitSpeaker, cache: Path) -> None:
    kept = speaker.bank("en")
    engine = Broken()

    again = DigitSpeaker(engine, ("en",), cache=cache).bank("en")

    assert engine.asked == 0
    for one, other in zip(kept.clips[7], again.clips[7], strict=True):
        np.testing.assert_allclose(one, other, atol=1e-3)


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 no archive", None])
def test_damaged_recordings_are_made_anew(
    speaker: DigitSpeaker, library: Engine, cache: Path, tmp_path: Path, damage: bytes | None
) -> None:
    speaker.bank("en")
    (kept,) = cache.glob("digits-en-*.npz")
    half = kept.read_bytes()[: kept.stat().st_size // 2]
    (tmp_path / kept.name).write_bytes(half if damage is None else damage)

    bank = DigitSpeaker(library, ("en",), cache=tmp_path, patience=PATIENCE).bank("en")

    assert [len(variants) for variants in bank.clips] == [20] * 10
    assert (tmp_path / kept.name).stat().st_size > len(half)
    assert [path.name for path in tmp_path.iterdir()] == [kept.name]  # no scratch file is left


def test_a_folder_that_cannot_be_written_to_costs_no_sound(library: Engine, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    speaker = DigitSpeaker(library, ("nl",), cache=tmp_path / "file" / "audio", patience=PATIENCE)

    assert speaker.speak("12", language="nl").startswith(b"RIFF")


def test_no_two_services_have_the_same_recordings(library: Engine) -> None:
    one, other = (record_bank("en", library, np.random.default_rng(seed), variants=4) for seed in (1, 2))

    assert not {clip.tobytes() for clip in one.clips[3]} & {clip.tobytes() for clip in other.clips[3]}


def test_many_at_once_wait_for_one_recording(library: Engine, tmp_path: Path) -> None:
    engine = Counting(library)
    speaker = DigitSpeaker(engine, ("en",), cache=tmp_path, patience=PATIENCE)
    sounds: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: sounds.append(speaker.speak("42", language="en"))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    engine.may_speak.set()
    for thread in threads:
        thread.join()

    assert engine.asked == 1
    assert len(set(sounds)) == 8


def test_who_cannot_wait_is_told_to_come_back(library: Engine, tmp_path: Path) -> None:
    engine = Counting(library)
    speaker = DigitSpeaker(engine, ("en",), cache=tmp_path, patience=0.01)
    speaker.prepare()

    with pytest.raises(GoodnoiseError, match="being recorded") as caught:
        speaker.speak("42", language="en")
    assert caught.value.code is Code.UNAVAILABLE
    assert float(caught.value.details[RETRY_AFTER]) > 0

    engine.may_speak.set()
    speaker.close()
    assert speaker.speak("42", language="en")


def test_what_failed_is_tried_again(tmp_path: Path) -> None:
    engine = Broken()
    speaker = DigitSpeaker(engine, ("en",), cache=tmp_path, patience=PATIENCE)

    for _ in range(2):
        with pytest.raises(GoodnoiseError, match="broken"):
            speaker.speak("42", language="en")
    assert engine.asked == 2


@pytest.mark.parametrize("renewal", [Renewal(uses=3), Renewal(seconds=60)])
def test_recordings_are_renewed_and_the_old_ones_serve_until_then(
    library: Engine, tmp_path: Path, renewal: Renewal
) -> None:
    now, engine = [time.time()], Counting(library)
    engine.may_speak.set()
    speaker = DigitSpeaker(
        engine, ("en",), cache=tmp_path, patience=PATIENCE, renewal=renewal, clock=lambda: now[0]
    )
    first = speaker.bank("en")
    for _ in range(2):
        speaker.speak("42", language="en")
    assert engine.asked == 1
    engine.may_speak.clear()
    now[0] += renewal.seconds
    for _ in range(5):
        speaker.speak("42", language="en")
    assert speaker.bank("en") is first
    engine.may_speak.set()
    speaker.close()  # waits for what was begun
    assert engine.asked == 2
    second = speaker.bank("en")
    assert not same(first, second)
    again = DigitSpeaker(engine, ("en",), cache=tmp_path, patience=PATIENCE)
    assert same(again.bank("en"), second)
    assert engine.asked == 2


def test_a_renewal_that_fails_leaves_the_old_recordings(
    library: Engine, speaker: DigitSpeaker, cache: Path, tmp_path: Path
) -> None:
    shutil.copytree(cache, tmp_path / "cache")
    engine = Broken()
    lasting = DigitSpeaker(
        engine, ("en",), cache=tmp_path / "cache", patience=PATIENCE, renewal=Renewal(uses=2)
    )
    sounds = [lasting.speak("42", language="en") for _ in range(5)]
    lasting.close()
    assert len(set(sounds)) == 5
    assert 1 <= engine.asked <= 2
    assert same(lasting.bank("en"), speaker.bank("en"))


def same(one: Bank, other: Bank) -> bool:
    return all(
        np.allclose(a, b, atol=1e-3) if len(a) == len(b) else False
        for left, right in zip(one.clips, other.clips, strict=True)
        for a, b in zip(left, right, strict=False)
    )


def test_without_an_engine_the_error_names_both_ways_to_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)

    with pytest.raises(GoodnoiseError, match=r"install espeak-ng.*pip install espeakng-loader") as caught:
        open_speaker()
    assert caught.value.code is Code.PRECONDITION


def test_a_mute_engine_is_none(tmp_path: Path) -> None:
    with pytest.raises(GoodnoiseError, match="mute in every language") as caught:
        open_speaker(engine=Mute(), cache=tmp_path)

    assert caught.value.code is Code.PRECONDITION


def test_an_engine_that_cannot_be_loaded_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("shutil.which", lambda _: str(tmp_path / "gone"))

    with pytest.raises(GoodnoiseError, match="speech engine") as caught:
        open_speaker(cache=tmp_path)
    assert caught.value.code is Code.UNAVAILABLE


def test_a_voice_that_is_not_there_says_nothing(library: Engine) -> None:
    nothing, something = library.record([Utterance("xx", "7"), Utterance("en", "7")])

    assert not len(nothing)
    assert len(something) > RATE // 5


def test_both_engines_speak_all_languages(speaker: DigitSpeaker, tmp_path: Path) -> None:
    assert tuple(speaker.languages) == LANGUAGES
    program = shutil.which("espeak-ng")
    if program is None:
        pytest.skip("the program espeak-ng is not installed")
    assert tuple(open_speaker(engine=ProgramEngine(program), cache=tmp_path).languages) == LANGUAGES


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs /proc")
def test_the_engine_is_never_in_the_process_of_the_service(cache: Path, tmp_path: Path) -> None:
    code = (
        "from pathlib import Path; import os, sys; os.environ['PATH'] = '';"
        "from cloud_server.captcha.audio import open_speaker;"
        f"open_speaker(cache=Path({str(tmp_path)!r}), patience={PATIENCE}).speak('1', language='en');"
        "assert 'espeak' not in Path('/proc/self/maps').read_text();"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_tone_keeps_its_pitch_and_loudness_at_another_rate() -> None:
    tone = np.sin(2 * np.pi * 440 * np.arange(22_050) / 22_050).astype(np.float32)

    moved = resample(tone, 22_050, 16_000)

    np.testing.assert_allclose(moved, np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000), atol=0.01)


@pytest.mark.parametrize("content", [b"", b"RIFF", b"\0" * 100, b"OggS" + b"\0" * 100])
def test_what_is_no_wav_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match="WAV"):
        read_wav(content, rate=RATE)


def test_wav_comes_back_as_it_was(rng: np.random.Generator) -> None:
    samples = rng.uniform(-1, 1, 999).astype(np.float32)

    np.testing.assert_allclose(read_wav(write_wav(samples, rate=RATE), rate=RATE), samples, atol=1e-4)


def test_a_bank_draws_every_variant(rng: np.random.Generator) -> None:
    bank = Bank("en", tuple(tuple(np.full(9, 10 * d + v, np.float32) for v in range(3)) for d in range(10)))

    assert {int(bank.draw("4", rng)[0]) for _ in range(60)} == {40, 41, 42}
    assert len({int(bank.any(rng)[0]) for _ in range(400)}) == 30
