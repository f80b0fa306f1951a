"""Damaged files: whatever a disk or a sender did to a photo, the answer is a photo or one clear error."""

from __future__ import annotations

import io
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from edge_client.photos import MetadataPolicy, clean_exif, encode_photo, read_photo
from edge_client.photos.chunks import webp_quality
from edge_client.photos.metadata import exif_orientation
from shared.errors import GoodnoiseError

# Decoders warn of damage; what matters here is how they end.
pytestmark = pytest.mark.filterwarnings("ignore")

KINDS = {
    "jpeg": ("JPEG", {"quality": 80}),
    "progressive": ("JPEG", {"quality": 80, "progressive": True}),
    "png": ("PNG", {}),
    "webp": ("WEBP", {"quality": 80}),
    "lossless": ("WEBP", {"lossless": True}),
    "tiff": ("TIFF", {}),
    "lzw": ("TIFF", {"compression": "tiff_lzw"}),
}


@cache
def valid(kind: str) -> bytes:
    exif = Image.Exif()
    exif[0x0110], exif[0x0112] = "Model T", 6
    exif.get_ifd(0x8825).update({1: "N", 2: (48.0, 51.0, 30.0)})
    y, x = np.mgrid[0:37, 0:53]
    picture = np.stack([x * 4, y * 6, (x * y) % 256], axis=2).astype(np.uint8)
    name, options = KINDS[kind]
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, name, exif=exif, **options)
    return buffer.getvalue()


def damaged(data: bytes, cut: float, flips: list[tuple[float, int]]) -> bytes:
    kept = bytearray(data[: int(len(data) * cut)])
    for place, value in flips:
        if kept:
            kept[int(place * len(kept))] ^= value
    return bytes(kept)


part = st.floats(0, 1, exclude_max=True)


@settings(max_examples=250, deadline=None)
@given(
    kind=st.sampled_from(sorted(KINDS)),
    cut=st.one_of(st.just(1.0), part),
    # Half of the damage goes to the first bytes, where the headers are.
    flips=st.lists(st.tuples(st.one_of(part, st.floats(0, 0.15)), st.integers(1, 255)), max_size=4),
)
def test_a_damaged_photo_is_read_or_refused(kind, cut, flips):
    refusal = ""
    try:
        photo = read_photo(damaged(valid(kind), cut, flips), name="photo", max_pixels=1_000_000)
        again = read_photo(encode_photo(photo, photo.pixels), max_pixels=1_000_000)
    except GoodnoiseError as error:
        refusal = error.message
    assert refusal.startswith("photo ") if refusal else again.size == photo.size


@given(st.binary(max_size=300).map(lambda tail: b"II*\x00\x08\x00\x00\x00" + tail), st.integers(1, 8))
def test_any_exif_block_is_cleaned_to_one_that_can_be_read(block, orientation):
    policy = MetadataPolicy(keep_location=True, keep_serials=True)
    cleaned = clean_exif(block, policy, orientation=orientation)
    assert exif_orientation(cleaned) == orientation
    assert clean_exif(cleaned, policy, orientation=orientation) == cleaned


@given(st.binary(max_size=40).map(lambda tail: b"\x10\x00\x00\x9d\x01\x2a\x10\x00\x10\x00" + tail))
def test_any_webp_frame_has_a_quality(frame):
    assert 0 <= webp_quality(frame) <= 100
