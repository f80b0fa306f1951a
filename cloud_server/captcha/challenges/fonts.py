"""The fonts of challenges: free families from PyPI packages, a choice of them for each deployment."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from cloud_server.captcha.challenges.types import ALPHABET
from shared.errors import Code, GoodnoiseError

__all__ = ["FONTS", "Font", "choose_fonts", "glyphs", "installed_fonts"]

# Pixels of a capital's height in the masters that glyphs are warped from.
MASTER = 96
Mask = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Font:
    """One face of a family: where its package keeps it, and its licence.

    Args:
        name: of the face.
        package: module that holds the file.
        file: its path in that module.
        licence: as the package states it.
    """

    name: str
    package: str
    file: str
    licence: str

    @property
    def path(self) -> Path | None:
        """The file, or None where its package is not installed."""
        found = find_spec(self.package)
        if found is None or not found.submodule_search_locations:
            return None
        path = Path(found.submodule_search_locations[0]) / self.file
        return path if path.is_file() else None


def _faces(family: str, package: str, folder: str, licence: str, *files: str) -> tuple[Font, ...]:
    return tuple(
        Font(f"{family} {Path(file).stem.partition('-')[2] or 'Regular'}", package, folder + file, licence)
        for file in files
    )


_DEJAVU = "mpl-data/fonts/ttf/"
# Bold faces. Lato, the upright DejaVu Sans and the italic Source Sans are not among them: strange solvers
# read several times as many of their attacked images as of the others.
FONTS = (
    *_faces("Caladea", "font_caladea", "files/", "Apache-2.0", "Caladea-Bold.ttf", "Caladea-BoldItalic.ttf"),
    *_faces("DejaVu Sans", "matplotlib", _DEJAVU, "Bitstream Vera", "DejaVuSans-BoldOblique.ttf"),
    *_faces(
        "DejaVu Sans Mono",
        "matplotlib",
        _DEJAVU,
        "Bitstream Vera",
        "DejaVuSansMono-Bold.ttf",
        "DejaVuSansMono-BoldOblique.ttf",
    ),
    *_faces(
        "DejaVu Serif",
        "matplotlib",
        _DEJAVU,
        "Bitstream Vera",
        "DejaVuSerif-Bold.ttf",
        "DejaVuSerif-BoldItalic.ttf",
    ),
    *_faces(
        "Hanken Grotesk",
        "font_hanken_grotesk",
        "files/",
        "OFL-1.1",
        "HankenGrotesk-Bold.otf",
        "HankenGrotesk-SemiBoldItalic.otf",
    ),
    *_faces("Manrope", "font_manrope", "files/", "OFL-1.1", "Manrope-Bold.ttf"),
    *_faces("Source Sans", "font_source_sans_pro", "files/", "OFL-1.1", "SourceSansPro-Bold.ttf"),
    *_faces(
        "Source Serif",
        "font_source_serif_pro",
        "files/",
        "OFL-1.1",
        "SourceSerifPro-Bold.ttf",
        "SourceSerifPro-BoldIt.ttf",
    ),
)


def installed_fonts() -> tuple[Font, ...]:
    """The fonts that are here.

    Raises:
        GoodnoiseError: PRECONDITION when there is none.
    """
    found = tuple(font for font in FONTS if font.path is not None)
    if not found:
        raise GoodnoiseError(Code.PRECONDITION, 'no font is installed; run: pip install "goodnoise[captcha]"')
    return found


def choose_fonts(deployment: int, *, count: int = 8) -> tuple[Font, ...]:
    """The fonts of one deployment: a choice of its own, so that solvers of another's images fit less well.

    Args:
        deployment: seed of the choice.
        count: faces at most.
    """
    fonts = installed_fonts()
    order = np.random.default_rng(deployment).permutation(len(fonts))
    return tuple(fonts[index] for index in order[:count])


@functools.lru_cache(maxsize=64)
def glyphs(font: Font) -> dict[str, Mask]:
    """The alphabet's masters: coverage, uint8 H W, cut to the glyph, capitals `MASTER` pixels high."""
    path = font.path
    if path is None:
        raise GoodnoiseError(
            Code.PRECONDITION, f"font {font.name} is not installed; see its package {font.package}"
        )
    size = MASTER
    face = ImageFont.truetype(path, size)
    top, bottom = face.getbbox("H")[1], face.getbbox("H")[3]
    face = ImageFont.truetype(path, round(size * MASTER / (bottom - top)))
    return {character: _master(face, character) for character in ALPHABET}


def _master(face: ImageFont.FreeTypeFont, character: str) -> Mask:
    canvas = Image.new("L", (3 * MASTER, 3 * MASTER))
    ImageDraw.Draw(canvas).text((MASTER, MASTER), character, fill=255, font=face, anchor="ls")
    pixels = np.asarray(canvas)
    rows, columns = np.flatnonzero(pixels.max(axis=1)), np.flatnonzero(pixels.max(axis=0))
    cut = pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return np.pad(cut, 2)
