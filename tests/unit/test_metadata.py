"""What a protected photo still says: no place, no serial numbers, and never the unprotected face."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from PIL import Image

from edge_client.photos import MetadataPolicy, clean_exif, encode_photo, read_photo
from edge_client.photos.metadata import exif_orientation

MODEL, SOFTWARE, ARTIST, THUMBNAIL = b"Model T", b"Firmware 1", b"The owner", b"\xff\xd8THUMBNAIL\xff\xd9"
SECRETS = {
    "maker note": b"MAKERNOTE-PREVIEW",
    "body serial": b"BODY-0123",
    "lens serial": b"LENS-4567",
    "owner": b"OWNER-NAME",
    "unique id": b"UNIQUE-89AB",
    "place": b"PLACE-NAME",
    "private field": b"PRIVATE-TAG",
    "thumbnail": THUMBNAIL,
}


def directory(order, fields, place, following=0):
    """One TIFF directory; `fields` are (tag, type, bytes), `following` the place of the next one."""
    sizes = {2: 1, 3: 2, 4: 4, 5: 8, 7: 1}
    entries, values = b"", b""
    start = place + 2 + 12 * len(fields) + 4
    for tag, kind, content in sorted(fields):
        inline = content.ljust(4, b"\x00")
        if len(content) > 4:
            inline = struct.pack(order + "I", start + len(values))
            values += content + b"\x00" * (len(content) % 2)
        entries += struct.pack(order + "HHI", tag, kind, len(content) // sizes[kind]) + inline
    return struct.pack(order + "H", len(fields)) + entries + struct.pack(order + "I", following) + values


def full_exif(order, orientation=6):
    """A block with all that a phone writes, and all that must not be published."""
    number = lambda value: struct.pack(order + "I", value)  # noqa: E731
    main = [
        (0x0110, 2, MODEL + b"\x00"),
        (0x0131, 2, SOFTWARE + b"\x00"),
        (0x013B, 2, ARTIST + b"\x00"),
        (0x0112, 3, struct.pack(order + "H", orientation)),
        (0xC634, 7, SECRETS["private field"]),
    ]
    exposure = [
        (0x829A, 5, struct.pack(order + "II", 1, 250)),
        (0x9003, 2, b"2024:05:06 07:08:09\x00"),
        (0x927C, 7, SECRETS["maker note"]),
        (0xA430, 2, SECRETS["owner"]),
        (0xA431, 2, SECRETS["body serial"]),
        (0xA435, 2, SECRETS["lens serial"]),
        (0xA420, 2, SECRETS["unique id"]),
    ]
    gps = [
        (1, 2, b"N\x00"),
        (2, 5, struct.pack(order + "6I", 48, 1, 51, 1, 30, 1)),
        (0x1C, 7, SECRETS["place"]),
    ]
    place = 8 + len(directory(order, [*main, (0x8769, 4, number(0)), (0x8825, 4, number(0))], 8))
    blocks, pointers = b"", []
    for tag, fields in ((0x8769, exposure), (0x8825, gps)):
        pointers.append((tag, 4, number(place + len(blocks))))
        blocks += directory(order, fields, place + len(blocks))
    thumb_place = place + len(blocks)
    shape = [(0x0201, 4, number(0)), (0x0202, 4, number(len(THUMBNAIL)))]
    picture = thumb_place + len(directory(order, shape, thumb_place))
    shape[0] = (0x0201, 4, number(picture))
    head = (b"II*\x00" if order == "<" else b"MM\x00*") + number(8)
    return (
        head
        + directory(order, main + pointers, 8, thumb_place)
        + blocks
        + directory(order, shape, thumb_place)
        + THUMBNAIL
    )


def loaded(block):
    exif = Image.Exif()
    exif.load(block)
    return exif


ORDERS = pytest.mark.parametrize("order", ["<", ">"])


@ORDERS
def test_by_default_place_serials_and_thumbnail_go_and_the_rest_stays(order):
    block = clean_exif(full_exif(order), MetadataPolicy())
    for name, secret in SECRETS.items():
        assert secret not in block, name
    exif = loaded(block)
    assert exif[0x0110] == MODEL.decode()
    assert exif[0x0131] == SOFTWARE.decode()
    assert exif[0x013B] == ARTIST.decode()
    exposure = exif.get_ifd(0x8769)
    assert float(exposure[0x829A]) == pytest.approx(1 / 250)
    assert exposure[0x9003] == "2024:05:06 07:08:09"
    assert not exif.get_ifd(0x8825)
    assert not exif.get_ifd(1)


@ORDERS
def test_flags_keep_place_and_serials_but_never_a_second_picture(order):
    block = clean_exif(full_exif(order), MetadataPolicy(keep_location=True, keep_serials=True))
    kept = {"body serial", "lens serial", "owner", "unique id", "place"}
    for name, secret in SECRETS.items():
        assert (secret in block) is (name in kept), name
    assert [float(v) for v in loaded(block).get_ifd(0x8825)[2]] == [48, 51, 30]


@ORDERS
def test_the_flags_are_independent(order):
    assert SECRETS["body serial"] not in clean_exif(full_exif(order), MetadataPolicy(keep_location=True))
    assert SECRETS["place"] not in clean_exif(full_exif(order), MetadataPolicy(keep_serials=True))


def test_stripping_all_leaves_nothing():
    assert clean_exif(full_exif("<"), MetadataPolicy(strip_all=True, keep_location=True)) == b""


@ORDERS
def test_the_orientation_is_the_one_asked_for(order):
    source = full_exif(order, orientation=3)
    assert exif_orientation(source) == 3
    assert exif_orientation(clean_exif(source, MetadataPolicy(), orientation=8)) == 8
    assert 0x0112 not in loaded(clean_exif(source, MetadataPolicy()))


def test_a_photo_without_exif_gets_none():
    assert clean_exif(b"", MetadataPolicy()) == b""
    assert clean_exif(b"not a tiff header", MetadataPolicy()) == b""


def test_oversized_fields_do_not_break_a_jpeg():
    fields = [(0x010E, 2, b"a" * 8000 + b"\x00"), (0x0110, 2, MODEL + b"\x00"), (0x8298, 2, b"c" * 60000)]
    source = b"II*\x00" + struct.pack("<I", 8) + directory("<", fields, 8)
    block = clean_exif(source, MetadataPolicy())
    assert MODEL in block
    assert b"c" * 100 not in block
    assert len(block) < 65000


def picture():
    return Image.fromarray((np.mgrid[0:40, 0:50].sum(axis=0)[..., None] * [1, 2, 1] % 256).astype(np.uint8))


def saved(kind, **options):
    buffer = io.BytesIO()
    picture().save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_saved_photos_hold_no_secret_and_keep_the_camera(kind):
    data = saved(kind, exif=b"Exif\x00\x00" + full_exif("<"))
    assert SECRETS["place"] in data
    photo = read_photo(data)
    out = encode_photo(photo, photo.pixels)
    for name, secret in SECRETS.items():
        assert secret not in out, name
    exif = Image.open(io.BytesIO(out)).getexif()
    assert exif[0x0110] == MODEL.decode()
    assert exif[0x0112] == 6


@ORDERS
def test_a_saved_tiff_holds_no_secret_and_keeps_the_camera(order):
    data = saved("TIFF", exif=full_exif(order))
    assert SECRETS["place"] in data
    photo = read_photo(data)
    out = encode_photo(photo, photo.pixels)
    for name, secret in SECRETS.items():
        assert secret not in out, name
    exif = Image.open(io.BytesIO(out)).getexif()
    assert exif[0x0110] == MODEL.decode()
    assert exif.get_ifd(0x8769)[0x9003] == "2024:05:06 07:08:09"
    assert SECRETS["place"] in encode_photo(photo, photo.pixels, policy=MetadataPolicy(keep_location=True))


def test_xmp_photoshop_blocks_and_second_pictures_of_a_jpeg_go():
    plain = saved("JPEG", xmp=b"<x:xmpmeta><exif:GPSLatitude>48</exif:GPSLatitude></x:xmpmeta>")
    block = b"Photoshop 3.0\x008BIM\x04\x0cSECRET-THUMB"
    photoshop = b"\xff\xed" + struct.pack(">H", len(block) + 2) + block
    data = plain[:2] + photoshop + plain[2:] + saved("JPEG", comment=b"SECOND-PICTURE")
    photo = read_photo(data)
    out = encode_photo(photo, photo.pixels)
    for secret in (b"GPSLatitude", b"SECRET-THUMB", b"SECOND-PICTURE", b"8BIM"):
        assert secret in data
        assert secret not in out
    assert out.count(b"\xff\xd8\xff") == 1


def test_a_two_picture_file_of_a_phone_keeps_the_first_only():
    buffer = io.BytesIO()
    picture().save(buffer, "MPO", save_all=True, append_images=[picture().rotate(180)])
    photo = read_photo(buffer.getvalue())
    out = encode_photo(photo, photo.pixels)
    assert out.count(b"\xff\xd8\xff") == 1
    assert b"MPF\x00" not in out


def test_png_text_is_kept_by_a_list_of_keywords():
    from PIL import PngImagePlugin

    info = PngImagePlugin.PngInfo()
    info.add_text("Author", "Ada")
    info.add_text("Raw profile type exif", "\nexif\n 4\n53454352")
    info.add_itxt("XML:com.adobe.xmp", "<SECRET-XMP/>")
    photo = read_photo(saved("PNG", pnginfo=info))
    out = Image.open(io.BytesIO(encode_photo(photo, photo.pixels)))
    assert out.text == {"Author": "Ada"}
    stripped = encode_photo(photo, photo.pixels, policy=MetadataPolicy(strip_all=True))
    assert Image.open(io.BytesIO(stripped)).text == {}


def test_a_jpeg_comment_is_kept_unless_all_is_stripped():
    photo = read_photo(saved("JPEG", comment=b"hello"))
    assert b"hello" in encode_photo(photo, photo.pixels)
    assert b"hello" not in encode_photo(photo, photo.pixels, policy=MetadataPolicy(strip_all=True))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_stripping_all_stores_the_photo_upright(kind):
    photo = read_photo(saved(kind, exif=b"Exif\x00\x00" + full_exif(">")))
    out = Image.open(io.BytesIO(encode_photo(photo, photo.pixels, policy=MetadataPolicy(strip_all=True))))
    assert out.size == (40, 50)
    assert not out.getexif()
