"""Fonts, texts and rendering of challenges before the attack."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cloud_server.captcha.challenges import fonts
from cloud_server.captcha.challenges.fonts import FONTS, Font, choose_fonts, glyphs, installed_fonts
from cloud_server.captcha.challenges.render import Style, draw_text, render
from cloud_server.captcha.challenges.types import ALPHABET, HEIGHT, WIDTH
from shared.errors import Code, GoodnoiseError

# Characters that people, and fonts, draw alike; one of each group at most may be used.
ALIKE = ("0OQ", "1I", "B8", "5S", "2Z", "6G", "UV")
ABSENT = Font("Absent Bold", "no_such_package_of_fonts", "absent.ttf", "none")


@pytest.mark.parametrize("group", ALIKE)
def test_no_two_characters_are_confused(group):
    assert len(set(group) & set(ALPHABET)) <= 1


def test_the_alphabet_has_each_character_once_and_no_lower_case():
    assert len(set(ALPHABET)) == len(ALPHABET) >= 20
    assert ALPHABET.upper() == ALPHABET
    assert ALPHABET.isalnum()
    assert ALPHABET.isascii()


def test_texts_are_of_the_alphabet_and_use_all_of_it(rng):
    texts = [draw_text(rng) for _ in range(300)]
    assert set("".join(texts)) == set(ALPHABET)
    assert {len(text) for text in texts} == {5, 6}
    assert len(set(texts)) == len(texts)
    assert {len(draw_text(rng, lengths=(4,))) for _ in range(5)} == {4}


def test_each_character_and_each_length_is_as_likely(rng):
    texts = [draw_text(rng) for _ in range(4000)]
    counts = np.bincount([ALPHABET.index(c) for text in texts for c in text], minlength=len(ALPHABET))
    expected = counts.sum() / len(ALPHABET)
    # Five deviations of a binomial count.
    assert np.abs(counts - expected).max() < 5 * np.sqrt(expected)
    assert sum(len(text) == 5 for text in texts) == pytest.approx(2000, abs=5 * np.sqrt(1000))


def test_a_character_has_forty_pixels_at_least(rng):
    longest = max(len(draw_text(rng)) for _ in range(50))
    made = render("W" * longest, rng=rng)
    assert made.image.shape == made.ink.shape == (HEIGHT, WIDTH)
    assert 40 * longest <= WIDTH
    assert HEIGHT >= 40


def test_the_same_randomness_gives_the_same_image():
    one, same, other = (render("ACDEFH", rng=np.random.default_rng(seed)) for seed in (1, 1, 2))
    for name in ("image", "ink", "letters"):
        np.testing.assert_array_equal(getattr(one, name), getattr(same, name))
    assert one.font == same.font
    assert np.abs(one.image - other.image).max() > 0.1


def test_an_image_is_grey_between_black_and_white_with_dark_ink_on_light_ground(rng):
    made = render("KMNPRT", rng=rng)
    assert made.image.dtype == made.ink.dtype == made.letters.dtype == np.float32
    assert made.letters.shape == (6, HEIGHT, WIDTH)
    for plane in (made.image, made.ink, made.letters):
        assert 0 <= plane.min() <= plane.max() <= 1
    np.testing.assert_array_equal(made.ink, made.letters.max(axis=0))
    ink, ground = made.image[made.ink > 0.8], made.image[made.ink < 0.05]
    assert ink.mean() + 20 / 255 < ground.mean()
    # Grained, as attack noise needs it: no plain ground and no plain stroke.
    assert ink.std() > 1 / 255
    assert ground.std() > 1 / 255


@pytest.mark.parametrize("font", FONTS, ids=[font.name for font in FONTS])
def test_every_glyph_is_whole_and_inside_the_canvas(font):
    style = replace(Style(), fonts=(font,))
    for seed, text in enumerate(("WMWMWM", ALPHABET[:6], ALPHABET[8:14], ALPHABET[16:], "J", "H34J79")):
        made = render(text, rng=np.random.default_rng(seed), style=style)
        border = (made.letters[:, [0, -1]].max(), made.letters[:, :, [0, -1]].max())
        assert max(border) < 0.1, text
        # What neighbours cover cannot be read.
        for index, letter in enumerate(made.letters):
            others = np.delete(made.letters, index, axis=0).max(axis=0, initial=0)
            assert letter.sum() > 60
            assert letter[others < 0.5].sum() > 0.7 * letter.sum(), (text, index)


def test_a_style_that_would_push_characters_out_leaves_them_inside(rng):
    for text in ("J", "WMWMWM"):
        made = render(text, rng=rng, style=Style(shift=60, gap=(40, 60), wave=0))
        assert (made.letters.sum(axis=(1, 2)) > 60).all()
        assert max(made.letters[:, [0, -1]].max(), made.letters[:, :, [0, -1]].max()) < 0.1


def test_characters_stand_in_the_order_of_the_text(rng):
    made = render("ACDEFH", rng=rng)
    middles = [np.average(np.arange(WIDTH), weights=letter.sum(axis=0)) for letter in made.letters]
    assert (np.diff(middles) > 10).all()


def test_images_differ_from_one_another(rng):
    images = [render("ACDEFH", rng=rng) for _ in range(20)]
    assert len({made.font for made in images}) > 3
    places = [np.argmax(made.letters[0].max(axis=0) > 0.5) for made in images]
    assert len(set(places)) > 3


@pytest.mark.parametrize("text", ["", "acdefh", "A0", "A C", "ÄC", "O"])
def test_other_characters_are_named(rng, text):
    with pytest.raises(ValueError, match=f"text is '{text}'"):
        render(text, rng=rng)


def test_lines_across_are_drawn_where_the_style_says_so():
    plain, lined = (
        render("ACDEFH", rng=np.random.default_rng(4), style=Style(arcs=arcs)).image for arcs in (0, 3)
    )
    assert (plain - lined).max() > 0.05


def test_deployments_have_fonts_of_their_own():
    choices = {deployment: choose_fonts(deployment) for deployment in range(12)}
    assert len({frozenset(chosen) for chosen in choices.values()}) > 8
    for deployment, chosen in choices.items():
        assert len(chosen) == len(set(chosen)) == 8
        assert set(chosen) <= set(installed_fonts())
        assert choose_fonts(deployment) == chosen
    assert len(choose_fonts(0, count=3)) == 3


def test_every_font_has_the_alphabet_in_shapes_of_its_own():
    assert installed_fonts() == FONTS
    for font in FONTS:
        masters = glyphs(font)
        assert set(masters) == set(ALPHABET)
        # A font without a character shows the same box for all that it lacks.
        assert len({master.tobytes() for master in masters.values()}) == len(ALPHABET)
        assert font.licence


def test_a_font_that_is_not_installed_is_named_with_its_package():
    assert ABSENT.path is None
    assert replace(FONTS[0], file="files/nothing.ttf").path is None
    with pytest.raises(GoodnoiseError, match=r"Absent Bold.*no_such_package_of_fonts") as caught:
        glyphs(ABSENT)
    assert caught.value.code is Code.PRECONDITION


def test_without_any_font_the_error_says_what_to_install(monkeypatch, rng):
    monkeypatch.setattr(fonts, "FONTS", (ABSENT,))
    for call in (installed_fonts, lambda: choose_fonts(1), lambda: render("ACDE", rng=rng)):
        with pytest.raises(GoodnoiseError, match=r"pip install .*goodnoise\[captcha\]") as caught:
            call()
        assert caught.value.code is Code.PRECONDITION


def test_fonts_that_are_missing_are_left_out(monkeypatch):
    monkeypatch.setattr(fonts, "FONTS", (ABSENT, FONTS[0]))
    assert installed_fonts() == (FONTS[0],)
    assert choose_fonts(3) == (FONTS[0],)
