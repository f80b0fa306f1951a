"""Photos survive reading and saving: format, quality class, orientation, colours, alpha, depth."""

from __future__ import annotations

import io
import struct
import zlib
from functools import cache

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms, JpegImagePlugin, PngImagePlugin

from edge_client.photos import encode_photo, read_photo, recompress
from edge_client.photos.photo import JpegEncoding, WebpEncoding
from shared.errors import Code, GoodnoiseError


def scene(height=48, width=64):
    """A smooth picture that JPEG keeps well, with a different colour in each corner."""
    y, x = np.mgrid[0:height, 0:width]
    red, green = 255 * x / width, 255 * y / height
    blue = 128 + 90 * np.sin(x / 9.0) * np.cos(y / 7.0)
    return np.stack([red, green, blue], axis=2).astype(np.uint8)


def saved(image, kind, **options):
    buffer = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(buffer, kind, **options)
    return buffer.getvalue()


def opened(data):
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def tables_by_component(image):
    return [image.quantization[layer[3]] for layer in image.layer]


@cache  # the library writes the time of making into it
def srgb():
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def brighter(photo, levels=6):
    return np.clip(photo.pixels.astype(int) + levels, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("quality", [35, 75, 92, 100])
@pytest.mark.parametrize("subsampling", [0, 1, 2])
def test_a_jpeg_keeps_its_tables_and_its_subsampling(quality, subsampling):
    data = saved(scene(), "JPEG", quality=quality, subsampling=subsampling)
    photo = read_photo(data)
    out = opened(encode_photo(photo, brighter(photo)))
    assert out.format == "JPEG"
    assert tables_by_component(out) == tables_by_component(opened(data))
    assert JpegImagePlugin.get_sampling(out) == subsampling


def test_a_jpeg_with_three_tables_keeps_all_three():
    tables = [[2] * 64, [3] * 64, [5] * 64]
    data = saved(scene(), "JPEG", qtables=tables)
    photo = read_photo(data)
    out = opened(encode_photo(photo, photo.pixels))
    assert [out.quantization[layer[3]][0] for layer in out.layer] == [2, 3, 5]


def test_a_progressive_jpeg_stays_progressive_and_a_baseline_one_baseline():
    for progressive in (True, False):
        data = saved(scene(), "JPEG", progressive=progressive)
        photo = read_photo(data)
        out = opened(encode_photo(photo, photo.pixels))
        assert bool(out.info.get("progressive")) is progressive


def test_an_rgb_jpeg_stays_rgb():
    data = saved(scene(), "JPEG", quality=90, keep_rgb=True)
    photo = read_photo(data)
    assert isinstance(photo.encoding, JpegEncoding)
    assert photo.encoding.rgb
    out = opened(encode_photo(photo, photo.pixels))
    assert [layer[0] for layer in out.layer] == [ord(c) for c in "RGB"]


def test_saving_a_jpeg_unchanged_changes_almost_nothing():
    photo = read_photo(saved(scene(), "JPEG", quality=80))
    again = read_photo(encode_photo(photo, photo.pixels))
    assert np.abs(again.pixels.astype(int) - photo.pixels).mean() < 0.3


def test_noise_at_the_finest_tables_can_be_saved(noise_photo):
    noise = np.tile(noise_photo, (4, 4, 1))
    photo = read_photo(saved(noise, "JPEG", qtables=[[1] * 64] * 2, subsampling=0))
    again = read_photo(encode_photo(photo, photo.pixels))
    assert np.abs(again.pixels.astype(int) - photo.pixels).mean() < 1.0


def test_grey_photos_stay_grey_in_every_format():
    grey = scene()[..., 2]
    for kind, options in (("JPEG", {}), ("PNG", {}), ("TIFF", {})):
        photo = read_photo(saved(grey, kind, **options))
        assert photo.grey
        out = opened(encode_photo(photo, brighter(photo)))
        assert out.mode == "L"
    stored_as_colour = read_photo(saved(np.repeat(grey[..., None], 3, axis=2), "JPEG", quality=90))
    assert stored_as_colour.grey
    tinted = stored_as_colour.pixels.copy()
    tinted[..., 0] //= 2
    out = np.asarray(opened(encode_photo(stored_as_colour, tinted)))
    assert out.ndim == 3
    assert np.ptp(out.astype(int), axis=2).max() == 0


@pytest.mark.parametrize("orientation", [1, 6])
def test_the_original_pixels_cannot_be_changed_by_mistake(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert not read_photo(saved(scene(), "JPEG", exif=exif)).pixels.flags.writeable


def test_a_colour_photo_is_not_called_grey():
    assert not read_photo(saved(scene(), "PNG")).grey


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_photos_are_read_upright_and_saved_lying_as_they_did(orientation, kind):
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"quality": 95} if kind == "JPEG" else {"lossless": True} if kind == "WEBP" else {}
    data = saved(scene(), kind, exif=exif, **options)
    photo = read_photo(data)
    from PIL import ImageOps

    seen = np.asarray(ImageOps.exif_transpose(opened(data)).convert("RGB"))
    np.testing.assert_array_equal(photo.pixels, seen)
    out = opened(encode_photo(photo, photo.pixels))
    assert out.getexif().get(0x0112, 1) == orientation
    assert out.size == (64, 48)
    again = np.asarray(ImageOps.exif_transpose(out).convert("RGB"))
    assert np.abs(again.astype(int) - seen).mean() < 0.5


def test_a_tiff_is_saved_upright():
    exif = Image.Exif()
    exif[0x0112] = 6
    photo = read_photo(saved(scene(), "TIFF", exif=exif))
    np.testing.assert_array_equal(photo.pixels, np.rot90(scene(), -1))
    out = opened(encode_photo(photo, photo.pixels))
    assert out.getexif().get(0x0112, 1) == 1
    np.testing.assert_array_equal(np.asarray(out), photo.pixels)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_the_colour_profile_and_the_resolution_are_kept(kind):
    data = saved(scene(), kind, icc_profile=srgb(), dpi=(300, 300))
    photo = read_photo(data)
    out = opened(encode_photo(photo, photo.pixels))
    assert out.info["icc_profile"] == srgb()
    if kind != "WEBP":
        assert [round(float(v)) for v in out.info["dpi"]] == [300, 300]


@pytest.mark.parametrize(
    ("kind", "options"), [("PNG", {}), ("WEBP", {"quality": 70}), ("WEBP", {"lossless": True}), ("TIFF", {})]
)
def test_alpha_is_kept_bit_for_bit(kind, options, rng):
    rgba = np.dstack([scene(), rng.integers(0, 256, (48, 64), dtype=np.uint8)])
    photo = read_photo(saved(rgba, kind, **options))
    assert photo.alpha is not None
    np.testing.assert_array_equal(photo.alpha, rgba[..., 3])
    out = opened(encode_photo(photo, brighter(photo)))
    np.testing.assert_array_equal(np.asarray(out.convert("RGBA"))[..., 3], rgba[..., 3])


def test_a_grey_png_with_alpha_stays_one(rng):
    planes = rng.integers(0, 256, (48, 64, 2), dtype=np.uint8)
    photo = read_photo(saved(planes, "PNG"))
    out = opened(encode_photo(photo, photo.pixels))
    assert out.mode == "LA"
    np.testing.assert_array_equal(np.asarray(out), planes)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_lossless_formats_hold_exactly_the_pixels_given(kind):
    photo = read_photo(saved(scene(), kind))
    wanted = brighter(photo)
    np.testing.assert_array_equal(read_photo(encode_photo(photo, wanted)).pixels, wanted)


def test_a_lossless_webp_stays_lossless():
    photo = read_photo(saved(scene(), "WEBP", lossless=True))
    wanted = brighter(photo)
    np.testing.assert_array_equal(read_photo(encode_photo(photo, wanted)).pixels, wanted)


@pytest.mark.parametrize("quality", [10, 30, 50, 75, 80, 90, 95])
@pytest.mark.parametrize("alpha", [False, True])
def test_the_quality_of_a_webp_is_read_from_its_quantisers(quality, alpha, photos, rng):
    picture = np.asarray(Image.open(photos / "astronaut.png").convert("RGB"))[:256, :256]
    if alpha:
        picture = np.dstack([picture, rng.integers(0, 256, picture.shape[:2], dtype=np.uint8)])
    photo = read_photo(saved(picture, "WEBP", quality=quality))
    assert isinstance(photo.encoding, WebpEncoding)
    assert quality <= photo.encoding.quality <= quality + 20
    assert not photo.encoding.lossless


@pytest.mark.parametrize("compression", ["raw", "packbits", "tiff_lzw", "tiff_adobe_deflate"])
def test_a_tiff_keeps_its_compression(compression):
    photo = read_photo(saved(scene(), "TIFF", compression=compression))
    out = opened(encode_photo(photo, photo.pixels))
    assert out.info["compression"] == compression


def test_a_tiff_keeps_its_predictor():
    photo = read_photo(saved(scene(), "TIFF", compression="tiff_lzw", tiffinfo={317: 2}))
    out = encode_photo(photo, brighter(photo))
    assert opened(out).tag_v2[317] == 2
    np.testing.assert_array_equal(read_photo(out).pixels, brighter(photo))


def test_a_tiff_with_lossy_compression_is_saved_without_further_loss():
    photo = read_photo(saved(scene(), "TIFF", compression="jpeg"))
    out = encode_photo(photo, photo.pixels)
    np.testing.assert_array_equal(read_photo(out).pixels, photo.pixels)


@pytest.mark.parametrize("transparent", [False, True])
def test_a_palette_png_becomes_full_colour(transparent):
    image = Image.fromarray(scene()).quantize(16)
    options = {"transparency": 3} if transparent else {}
    data = saved(image, "PNG", **options)
    photo = read_photo(data)
    assert (photo.alpha is not None) is transparent
    out = opened(encode_photo(photo, photo.pixels))
    assert out.mode == ("RGBA" if transparent else "RGB")
    np.testing.assert_array_equal(np.asarray(out.convert("RGBA")), np.asarray(opened(data).convert("RGBA")))


@pytest.mark.parametrize("colours", [1, 3, 4])
def test_a_16_bit_png_keeps_its_depth(colours, rng):
    samples = rng.integers(2000, 60000, (20, 30, colours), dtype=np.uint16)
    data = cv2.imencode(".png", samples[..., [2, 1, 0, 3][:colours]] if colours > 1 else samples)[1].tobytes()
    photo = read_photo(data)
    assert photo.grey is (colours == 1)
    wanted = brighter(photo, 3)
    again = read_photo(encode_photo(photo, wanted))
    assert again.samples is not None
    shift = np.array([3 * 257] * min(colours, 3) + [0] * (colours == 4), dtype=np.uint16)
    np.testing.assert_array_equal(again.samples, samples + shift)
    np.testing.assert_array_equal(again.pixels, wanted)


def test_a_16_bit_png_keeps_profile_and_orientation(rng):
    samples = rng.integers(2000, 60000, (20, 30, 3), dtype=np.uint16)
    from edge_client.photos.chunks import insert_png_chunks

    exif = Image.Exif()
    exif[0x0112] = 6
    data = insert_png_chunks(
        cv2.imencode(".png", samples[..., ::-1])[1].tobytes(),
        ((b"iCCP", b"p\x00\x00" + zlib.compress(srgb())), (b"eXIf", exif.tobytes()[6:])),
    )
    photo = read_photo(data)
    assert photo.size == (30, 20)
    out = encode_photo(photo, photo.pixels)
    assert opened(out).info["icc_profile"] == srgb()
    assert opened(out).size == (30, 20)
    np.testing.assert_array_equal(read_photo(out).samples, photo.samples)


def test_the_gamma_of_a_png_is_kept():
    info = PngImagePlugin.PngInfo()
    info.add(b"gAMA", struct.pack(">I", 50000))
    photo = read_photo(saved(scene(), "PNG", pnginfo=info))
    assert opened(encode_photo(photo, photo.pixels)).info["gamma"] == pytest.approx(0.5)


def cmyk_profile():
    """A small but valid CMYK profile: naive inks, as a table of 2 points an axis into Lab."""
    corners = np.stack(np.meshgrid(*[[0.0, 1.0]] * 4, indexing="ij"), axis=-1).reshape(-1, 4)
    rgb = ((1 - corners[:, :3]) * (1 - corners[:, 3:]) * 255).round().astype(np.uint8)
    lab = np.asarray(
        ImageCms.profileToProfile(
            Image.fromarray(rgb[None]),
            ImageCms.createProfile("sRGB"),
            ImageCms.createProfile("LAB"),
            outputMode="LAB",
        )
    )[0]
    table = lab.copy()
    table[:, 1:] = lab[:, 1:] ^ 0x80  # Pillow's a and b are signed, the profile's are offset
    ramp = bytes(range(256))
    identity = b"".join(struct.pack(">i", 65536 if i % 4 == 0 else 0) for i in range(9))
    lut = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + identity + ramp * 4 + table.tobytes() + ramp * 3
    white = b"XYZ " + bytes(4) + struct.pack(">iii", 63190, 65536, 54061)
    name = b"desc" + bytes(4) + struct.pack(">I", 5) + b"cmyk\x00" + bytes(4 + 4 + 2 + 1 + 67)
    tags = [(b"A2B0", lut), (b"wtpt", white), (b"desc", name), (b"cprt", b"text" + bytes(4) + b"none\x00")]
    place, entries, body = 128 + 4 + 12 * len(tags), b"", b""
    for tag, content in tags:
        entries += tag + struct.pack(">II", place + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    head = (
        bytes(4)
        + bytes(4)
        + struct.pack(">I", 0x02100000)
        + b"prtrCMYKLab "
        + bytes(12)
        + b"acsp"
        + bytes(28)
    )
    head += struct.pack(">iii", 63190, 65536, 54061) + bytes(48)
    profile = head + struct.pack(">I", len(tags)) + entries + body
    return struct.pack(">I", len(profile)) + profile[4:]


def test_a_cmyk_jpeg_with_a_profile_is_converted_to_rgb():
    inks = Image.new("CMYK", (64, 16))
    colours = {0: (0, 255, 255, 0), 16: (255, 0, 255, 0), 32: (0, 0, 0, 255), 48: (0, 0, 0, 0)}
    for left, ink in colours.items():
        inks.paste(ink, (left, 0, left + 16, 16))
    photo = read_photo(saved(inks, "JPEG", quality=95, icc_profile=cmyk_profile()))
    seen = [photo.pixels[8, left + 8].astype(int) for left in colours]
    for colour, wanted in zip(seen, [(255, 0, 0), (0, 255, 0), (0, 0, 0), (255, 255, 255)], strict=True):
        assert np.abs(colour - wanted).max() < 24
    out = opened(encode_photo(photo, photo.pixels))
    assert out.mode == "RGB"
    assert "icc_profile" not in out.info


def test_a_cmyk_jpeg_without_a_profile_is_refused():
    with pytest.raises(GoodnoiseError, match=r"holiday\.jpg is CMYK.*save it as RGB") as caught:
        read_photo(saved(Image.new("CMYK", (8, 8)), "JPEG"), name="holiday.jpg")
    assert caught.value.code is Code.INVALID_INPUT


def frames(kind):
    pictures = [Image.fromarray(np.roll(scene(), i * 5, axis=1)) for i in range(3)]
    return saved(pictures[0], kind, save_all=True, append_images=pictures[1:])


@pytest.mark.parametrize(
    ("kind", "said"), [("WEBP", "animation"), ("PNG", "animation"), ("TIFF", "several pages")]
)
def test_more_than_one_picture_is_refused(kind, said):
    with pytest.raises(GoodnoiseError, match=said):
        read_photo(frames(kind))


@pytest.mark.parametrize(
    ("kind", "said"), [("GIF", "a GIF"), ("BMP", "a BMP"), ("AVIF", "an AVIF"), ("JPEG2000", "a JPEG 2000")]
)
def test_other_formats_are_named(kind, said):
    with pytest.raises(GoodnoiseError, match=f"{said}, which is not supported; save it as one of JPEG"):
        read_photo(saved(scene(), kind))


@pytest.mark.parametrize("data", [b"", b"hello", b"%PDF-1.7 ", bytes(100)])
def test_what_is_no_photo_is_refused(data):
    with pytest.raises(GoodnoiseError, match=r"x\.jpg is"):
        read_photo(data, name="x.jpg")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_truncated_files_are_refused(kind):
    data = saved(scene(200, 300), kind)
    for share in (0.02, 0.3, 0.9):
        with pytest.raises(GoodnoiseError, match="damaged or truncated") as caught:
            read_photo(data[: int(len(data) * share)])
        assert caught.value.code is Code.INVALID_INPUT


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_huge_photos_are_refused_before_decoding(kind):
    with pytest.raises(GoodnoiseError, match="64 x 48 pixels, at most 3000") as caught:
        read_photo(saved(scene(), kind), max_pixels=3000)
    assert caught.value.code is Code.EXHAUSTED


def test_a_decompression_bomb_is_refused_at_the_default_limit():
    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + b"IHDR" + header + struct.pack(">I", zlib.crc32(b"IHDR" + header))
    rest = saved(scene(), "PNG")[8 + 25 :]
    with pytest.raises(GoodnoiseError) as caught:
        read_photo(b"\x89PNG\r\n\x1a\n" + chunk + rest)
    assert caught.value.code is Code.EXHAUSTED


@pytest.mark.parametrize("mode", ["F", "I;16", "I"])
def test_deep_tiffs_are_refused_with_a_way_out(mode):
    with pytest.raises(GoodnoiseError, match="save it"):
        read_photo(saved(Image.new(mode, (8, 8)), "TIFF"))


def test_a_raw_file_in_a_tiff_is_refused():
    with pytest.raises(GoodnoiseError, match="raw file"):
        read_photo(saved(scene(), "TIFF", tiffinfo={50706: b"\x01\x04\x00\x00"}))


def test_a_missing_photo_is_named(tmp_path):
    with pytest.raises(GoodnoiseError, match=r"gone\.jpg does not exist") as caught:
        read_photo(tmp_path / "gone.jpg")
    assert caught.value.code is Code.NOT_FOUND
    with pytest.raises(GoodnoiseError, match="cannot be read"):
        read_photo(tmp_path)


def test_pixels_of_another_shape_are_a_callers_mistake():
    photo = read_photo(saved(scene(), "PNG"))
    with pytest.raises(ValueError, match="expected uint8"):
        encode_photo(photo, photo.pixels[:-1])


def heif(picture, **options):
    pillow_heif = pytest.importorskip("pillow_heif")
    pillow_heif.register_heif_opener()
    return saved(picture, "HEIF", **options)


def test_a_heif_is_saved_as_heif():
    exif = Image.Exif()
    exif[0x0112] = 6
    data = heif(scene(64, 96), quality=95, exif=exif.tobytes(), icc_profile=srgb())
    photo = read_photo(data)
    assert photo.size == (96, 64)
    out = encode_photo(photo, photo.pixels)
    again = read_photo(out)
    assert again.format == "HEIF"
    assert again.icc == srgb()
    assert again.size == (96, 64)
    assert np.abs(again.pixels.astype(int) - photo.pixels).mean() < 3
    assert np.abs(again.pixels.astype(int) - np.rot90(scene(64, 96), -1)).mean() < 6


def test_a_heif_loses_its_thumbnail():
    data = heif(scene(256, 256), thumbnails=[64])
    assert opened(data).info["thumbnails"]
    photo = read_photo(data)
    assert not opened(encode_photo(photo, photo.pixels)).info.get("thumbnails")


def test_recompressing_is_lossy_small_and_repeatable():
    picture = scene(120, 161)
    once, twice = recompress(picture), recompress(picture)
    np.testing.assert_array_equal(once, twice)
    assert once.shape == picture.shape
    error = np.abs(once.astype(int) - picture)
    assert 0 < error.mean() < 6


def test_recompressing_removes_fine_noise(rng):
    flat = np.full((128, 128, 3), 128, np.uint8)
    noisy = (flat + rng.integers(-8, 9, flat.shape)).astype(np.uint8)
    assert recompress(noisy).std() < 0.7 * noisy.std()
    assert recompress(noisy, scale=1.0, quality=100).std() > 0.7 * noisy.std()
