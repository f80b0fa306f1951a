from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image

from shared.attack.keys import Keys
from shared.attack.transforms import (
    Affine,
    Binarise,
    BlockShuffle,
    Blur,
    Chain,
    Identity,
    Jitter,
    Jpeg,
    Maybe,
    MeanFilter,
    MedianFilter,
    Mirror,
    Noise,
    OneOf,
    Pad,
    Resize,
    ToneCurve,
    Unshade,
    Warp,
    matrices,
)
from shared.attack.transforms.base import out_shape
from shared.attack.transforms.jpeg import quantisation

Images = npt.NDArray[np.float32]
KEYS = Keys(0, (3,))


def _smooth_photo(rng: np.random.Generator, height: int, width: int) -> npt.NDArray[np.uint8]:
    noise = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    soft = cv2.GaussianBlur(noise, (0, 0), 2.5).astype(np.float64)
    return np.clip((soft - 128) * 2.5 + 128, 0, 255).astype(np.uint8)


def _batch(photo: npt.NDArray[np.uint8]) -> Images:
    return photo.transpose(2, 0, 1)[None].astype(np.float32) / np.float32(255)


@pytest.mark.parametrize("size", [3, 5])
def test_filters_agree_with_opencv(rng: np.random.Generator, size: int) -> None:
    photo = _smooth_photo(rng, 31, 44)
    median, mean = MedianFilter(size), MeanFilter(size)
    batch = _batch(photo)
    ours = median.apply(batch, median.draw(KEYS, batch.shape))
    np.testing.assert_allclose(ours, _batch(cv2.medianBlur(photo, size)), atol=1e-6)
    ours = mean.apply(batch, mean.draw(KEYS, batch.shape))
    theirs = cv2.blur(batch[0].transpose(1, 2, 0), (size, size), borderType=cv2.BORDER_REPLICATE)
    np.testing.assert_allclose(ours[0].transpose(1, 2, 0), theirs, atol=1e-6)


def test_black_or_white_agrees_with_opencv(rng: np.random.Generator) -> None:
    photo = _smooth_photo(rng, 31, 44)
    otsu = Binarise()
    ours = otsu.apply(_batch(photo), otsu.draw(KEYS, (1, 3, 31, 44)))
    for channel in range(3):
        plane = np.ascontiguousarray(photo[:, :, channel])
        _, theirs = cv2.threshold(plane, 0, 1, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
        np.testing.assert_array_equal(ours[0, channel], theirs)
    fixed = Binarise(100.5 / 255).apply(_batch(photo), None)
    np.testing.assert_array_equal(fixed[0].transpose(1, 2, 0), photo > 100)


def test_a_tone_curve_stretches_what_lies_between_two_quantiles(rng: np.random.Generator) -> None:
    image = rng.permutation(np.linspace(0.3, 0.7, 101)).astype(np.float32).reshape(1, 1, 1, 101)
    curve = ToneCurve((0.1, 0.1), (0.6, 0.6))
    params = curve.draw(KEYS, image.shape)
    stretched = curve.apply(image, params)
    np.testing.assert_allclose(stretched, np.clip((image - 0.34) / 0.2, 0, 1), atol=1e-5)
    back = curve.adjoint(np.ones_like(image), image, params)
    inside = (image > 0.3401) & (image < 0.5399)
    np.testing.assert_allclose(back[inside], 5.0, rtol=1e-5)
    assert not back[(image < 0.3399) | (image > 0.5401)].any()


def test_a_tone_curve_of_one_shade_is_finite() -> None:
    flat = np.full((1, 1, 4, 4), 0.5, np.float32)
    curve = ToneCurve()
    params = curve.draw(KEYS, flat.shape)
    assert np.isfinite(curve.apply(flat, params)).all()
    assert np.isfinite(curve.adjoint(flat, flat, params)).all()


def test_slow_shades_go_and_strokes_stay() -> None:
    columns = np.linspace(0.2, 0.8, 64, dtype=np.float32)
    image = np.tile(columns, (64, 1))
    image[30:33, 16:48] -= 0.1
    unshade = Unshade(10.0, 10.0)
    flat = unshade.apply(image[None, None], unshade.draw(KEYS, (1, 1, 64, 64)))[0, 0]
    inner = flat[8:56, 20:44]
    assert np.ptp(inner[:10]) < 0.1 < np.ptp(image[8:18, 20:44])
    assert (flat[31, 20:44] < flat[26, 20:44] - 0.08).all()
    assert abs(float(flat.mean()) - 0.5) < 0.05


def test_one_shade_has_a_threshold() -> None:
    flat = np.full((1, 1, 4, 4), 0.5, np.float32)
    assert np.isin(Binarise().apply(flat, None), [0, 1]).all()
    assert np.isfinite(Binarise(softness=0.01).adjoint(flat, flat, None)).all()


@pytest.mark.parametrize(
    "make",
    [
        lambda: MedianFilter(2),
        lambda: MeanFilter(4),
        lambda: MeanFilter(0),
        lambda: Binarise(1.5),
        lambda: Binarise(softness=0.0),
        lambda: ToneCurve((0.2, 0.3), (0.1, 0.9)),
        lambda: ToneCurve(white=(0.5, 1.5)),
        lambda: ToneCurve(least=0.0),
        lambda: Unshade(0.0, 3.0),
        lambda: Unshade(3.0, 2.0),
    ],
)
def test_settings_of_filters_are_checked(make: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match=r"(Filter|Binarise|ToneCurve|Unshade): expected"):
        make()


@pytest.mark.torch
@pytest.mark.parametrize(("out", "length"), [(17, 40), (40, 17), (33, 33), (5, 64)])
@pytest.mark.parametrize("antialias", [False, True])
def test_bilinear_matrices_agree_with_torch(out: int, length: int, antialias: bool) -> None:
    rows = torch.eye(length)[None, :, None, :]
    theirs = torch.nn.functional.interpolate(rows, size=(1, out), mode="bilinear", antialias=antialias)
    ours = matrices.bilinear(out, length, antialias=antialias)
    np.testing.assert_allclose(ours, theirs[0, :, 0].numpy().T, atol=2e-5)


def test_area_matrices_agree_with_opencv(rng: np.random.Generator) -> None:
    line = rng.random((50, 1)).astype(np.float32)
    theirs = cv2.resize(line, (1, 23), interpolation=cv2.INTER_AREA)
    np.testing.assert_allclose(matrices.area(23, 50) @ line, theirs, atol=1e-5)


@pytest.mark.parametrize("scale", [0.7, 1.0, 1.6, 0.3])
def test_warp_agrees_with_opencv(rng: np.random.Generator, scale: float) -> None:
    photo = _smooth_photo(rng, 90, 80)
    angle = np.deg2rad(12)
    matrix = np.array(
        [
            [scale * np.cos(angle), -scale * np.sin(angle), 3.0],
            [scale * np.sin(angle), scale * np.cos(angle), -2.0],
        ]
    )
    warp = Warp(matrix, 28)
    ours = warp.apply(_batch(photo), warp.draw(KEYS, (1, 3, 90, 80)))[0].transpose(1, 2, 0)
    if scale < 0.5:
        size = (round(80 * 2 * scale), round(90 * 2 * scale))
        small = cv2.resize(photo, size, interpolation=cv2.INTER_AREA)
        step = np.array([80 / size[0], 90 / size[1]])
        back = np.vstack([np.column_stack([np.diag(step), step / 2 - 0.5]), [0, 0, 1]])
        photo, matrix = small, (np.vstack([matrix, [0, 0, 1]]) @ back)[:2]
    theirs = cv2.warpAffine(photo, matrix, (28, 28), flags=cv2.INTER_LINEAR) / 255.0
    assert np.abs(ours - theirs).mean() < 0.003
    assert np.abs(ours - theirs).max() < 0.06


def test_each_image_has_its_own_matrix_and_its_own_jitter(rng: np.random.Generator) -> None:
    x = rng.random((2, 3, 20, 20)).astype(np.float32)
    maps = np.array([[[1, 0, 0], [0, 1, 0]], [[1, 0, -4], [0, 1, -3]]], dtype=np.float64)
    plain = Warp(maps, 10)
    y = plain.apply(x, plain.draw(Keys(0, (1, 2)), x.shape))
    np.testing.assert_allclose(y[0], x[0, :, :10, :10], atol=1e-6)
    np.testing.assert_allclose(y[1], x[1, :, 3:13, 4:14], atol=1e-6)

    shaken = Warp(maps, 10, Jitter(0.1, 5, 0.1))
    both = shaken.apply(x, shaken.draw(Keys(0, (1, 2)), x.shape))
    alone = Warp(maps[1], 10, Jitter(0.1, 5, 0.1))
    np.testing.assert_array_equal(both[1:], alone.apply(x[1:], alone.draw(Keys(0, (2,)), x[1:].shape)))
    assert np.abs(both[0] - y[0]).max() > 0.01


def test_a_small_warp_in_place_keeps_the_middle(rng: np.random.Generator) -> None:
    x = _batch(_smooth_photo(rng, 41, 41))
    affine = Affine(Jitter(rotation=10.0))
    y = affine.apply(x, affine.draw(KEYS, x.shape))
    np.testing.assert_allclose(y[..., 20, 20], x[..., 20, 20], atol=1e-4)
    assert np.abs(y - x).max() > 0.05


def test_jitter_stays_within_its_bounds() -> None:
    jitter = Jitter(0.1, 8.0, 0.05)
    middle = np.array([55.5, 55.5, 1.0])
    moved, turned, scaled = [], [], []
    for i in range(300):
        matrix = jitter.draw(Keys(0, (i,)).rng(0), 112, 112)
        moved.append(np.abs((matrix @ middle - middle)[:2]).max() / 112)
        scaled.append(abs(np.hypot(matrix[0, 0], matrix[1, 0]) - 1))
        turned.append(abs(np.degrees(np.arctan2(matrix[1, 0], matrix[0, 0]))))
    assert 0.04 < max(moved) <= 0.05 + 1e-9
    assert 0.08 < max(scaled) <= 0.1 + 1e-9
    assert 7.0 < max(turned) <= 8.0 + 1e-9


@pytest.mark.parametrize("quality", [30, 75, 95])
@pytest.mark.parametrize("halved", [False, True])
@pytest.mark.parametrize("size", [(96, 80), (75, 93)])
def test_jpeg_does_what_libjpeg_does(
    rng: np.random.Generator, quality: int, halved: bool, size: tuple[int, int]
) -> None:
    photo = _smooth_photo(rng, *size)
    file = io.BytesIO()
    Image.fromarray(photo).save(file, "JPEG", quality=quality, subsampling=2 if halved else 0)
    theirs = np.asarray(Image.open(file), dtype=np.float64)

    jpeg = Jpeg(quality, quality, halve_chroma=float(halved))
    x = _batch(photo)
    ours = jpeg.apply(x, jpeg.draw(KEYS, x.shape))[0].transpose(1, 2, 0) * 255.0

    lost = np.abs(theirs - photo).mean()
    assert np.abs(ours - theirs).mean() < max(0.35 * lost, 1.0)
    assert np.abs((ours - theirs).mean()) < 0.2


def test_jpeg_tables_are_those_that_pillow_writes() -> None:
    for quality in (10, 49, 50, 85, 100):
        file = io.BytesIO()
        Image.new("RGB", (16, 16)).save(file, "JPEG", quality=quality)
        tables = Image.open(file).quantization  # type: ignore[attr-defined]
        ours = quantisation(quality)
        assert sorted(tables[0]) == sorted(ours[0].ravel())
        assert sorted(tables[1]) == sorted(ours[1].ravel())


def test_jpeg_takes_grey_pictures(rng: np.random.Generator) -> None:
    x = rng.random((1, 1, 20, 20)).astype(np.float32)
    y = Jpeg(50, 50).apply(x, Jpeg(50, 50).draw(KEYS, x.shape))
    assert y.shape == x.shape
    assert 0.001 < np.abs(y - x).mean() < 0.3


def test_shuffling_without_turning_moves_every_pixel_and_loses_none(rng: np.random.Generator) -> None:
    x = rng.random((1, 3, 17, 23)).astype(np.float32)
    shuffle = BlockShuffle(3, 0.0)
    y = shuffle.apply(x, shuffle.draw(KEYS, x.shape))
    np.testing.assert_array_equal(np.sort(y, axis=None), np.sort(x, axis=None))
    assert np.abs(y - x).max() > 0


def test_one_block_without_turning_is_the_image(rng: np.random.Generator) -> None:
    x = rng.random((1, 3, 9, 9)).astype(np.float32)
    np.testing.assert_array_equal(BlockShuffle(1, 0.0).apply(x, BlockShuffle(1, 0.0).draw(KEYS, x.shape)), x)


def test_a_blur_keeps_a_flat_image_and_softens_an_edge() -> None:
    flat = np.full((1, 1, 12, 12), 0.7, dtype=np.float32)
    blur = Blur(1.5, 1.5)
    params = blur.draw(KEYS, flat.shape)
    np.testing.assert_allclose(blur.apply(flat, params), flat, atol=1e-6)
    edge = flat.copy()
    edge[..., 6:] = 0.1
    assert np.abs(np.diff(blur.apply(edge, params), axis=-1)).max() < 0.25


def test_noise_has_the_strength_asked_for() -> None:
    x = np.full((1, 3, 64, 64), 0.5, dtype=np.float32)
    noise = Noise(5.0, 5.0)
    assert np.std(noise.apply(x, noise.draw(KEYS, x.shape)) - x) * 255 == pytest.approx(5.0, rel=0.05)


def test_a_mirror_exchanges_left_and_right(rng: np.random.Generator) -> None:
    x = rng.random((1, 3, 5, 6)).astype(np.float32)
    np.testing.assert_array_equal(Mirror(1.0).apply(x, Mirror(1.0).draw(KEYS, x.shape)), x[..., ::-1])


def test_maybe_changes_about_its_share_of_images(rng: np.random.Generator) -> None:
    x = rng.random((200, 1, 4, 4)).astype(np.float32)
    some = Maybe(Mirror(1.0), 0.3)
    y = some.apply(x, some.draw(Keys(0, tuple(range(200))), x.shape))
    changed = (y != x).any(axis=(1, 2, 3)).mean()
    assert 0.2 < changed < 0.4


def test_shapes_are_known_before_anything_is_computed() -> None:
    chain = Chain((Resize(), Warp([[0.5, 0, 0], [0, 0.5, 0]], 16), Pad("official", p=1.0)))
    params = chain.draw(KEYS, (1, 3, 40, 44))
    assert chain.apply(np.zeros((1, 3, 40, 44), np.float32), params).shape == (1, 3, 17, 17)
    assert out_shape(chain.transforms[1], params[1], (1, 3, 40, 44)) == (1, 3, 16, 16)


@pytest.mark.parametrize(
    ("make", "names"),
    [
        (lambda: Resize(0.0, 1.0), "low"),
        (lambda: Blur(-1.0, 1.0), "low"),
        (lambda: Jpeg(0, 90), "low"),
        (lambda: Jpeg().draw(KEYS, (1, 4, 8, 8)), "channels"),
        (lambda: Pad("mine"), "convention"),  # type: ignore[arg-type]
        (lambda: Pad("torchattacks", rate=1.1), "rate"),
        (lambda: Pad().draw(KEYS, (1, 3, 8, 9)), "square"),
        (lambda: BlockShuffle(0), "blocks"),
        (lambda: BlockShuffle(9).draw(KEYS, (1, 3, 8, 8)), "fit"),
        (lambda: Warp(np.eye(3), 8).draw(KEYS, (1, 3, 8, 8)), "shape 2 3"),
        (lambda: Warp([[1, 0, 0], [2, 0, 0]], 8).draw(KEYS, (1, 3, 8, 8)), "line"),
        (lambda: Maybe(Warp([[1, 0, 0], [0, 1, 0]], 4), 1.0).draw(KEYS, (1, 3, 8, 8)), "shape"),
    ],
)
def test_a_caller_s_mistake_is_named(make: Any, names: str) -> None:
    with pytest.raises(ValueError, match=names):
        make()


def _chosen(one: OneOf, step: int, ids: tuple[int, ...] = (3,), stream: int = 0) -> int:
    choice, _ = one.draw(Keys(7, ids).at(step).fork(stream), (len(ids), 1, 4, 4))
    return int(choice)


def test_one_of_several_is_drawn_as_often_as_its_weight_says() -> None:
    one = OneOf((Identity(), Noise(), Mirror(1.0)), (6, 3, 1))
    counts = np.bincount([_chosen(one, step) for step in range(2000)], minlength=3)
    # Five deviations of a binomial count.
    np.testing.assert_allclose(counts, [1200, 600, 200], atol=5 * np.sqrt(500))
    even = np.bincount([_chosen(OneOf((Identity(), Mirror())), step) for step in range(1000)], minlength=2)
    np.testing.assert_allclose(even, [500, 500], atol=80)
    never = OneOf((Identity(), Mirror()), (1, 0))
    assert not any(_chosen(never, step) for step in range(50))


def test_which_one_does_not_depend_on_the_batch_and_repeats_itself() -> None:
    one = OneOf((Identity(), Mirror(), Noise(), Resize()))
    steps = range(40)
    first = [_chosen(one, step, (3, 4, 5)) for step in steps]
    assert first == [_chosen(one, step, (3, 4, 5)) for step in steps]
    assert first == [_chosen(one, step, (4,)) for step in steps]
    assert first != [_chosen(one, step, stream=1) for step in steps]


@pytest.mark.parametrize("step", range(6))
def test_one_of_several_does_what_the_chosen_one_does(rng: np.random.Generator, step: int) -> None:
    parts = (Noise(8.0, 8.0), Warp([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], 14), Mirror(1.0))
    one, keys = OneOf(parts), Keys(1, (5, 6)).at(step)
    x = rng.random((2, 3, 20, 20)).astype(np.float32)
    params = one.draw(keys, x.shape)
    choice, inner = params
    changed = one.apply(x, params)
    np.testing.assert_array_equal(changed, parts[choice].apply(x, inner))
    assert out_shape(one, params, x.shape) == changed.shape
    gradient = rng.standard_normal(changed.shape).astype(np.float32)
    np.testing.assert_array_equal(one.adjoint(gradient, x, params), parts[choice].adjoint(gradient, x, inner))
    # Each image has a draw of its own, the same in any batch.
    alone = one.apply(x[1:], one.draw(keys.pick(1, 2), x[1:].shape))
    np.testing.assert_allclose(alone, changed[1:], atol=1e-6)


def test_one_of_none_and_weights_that_do_not_fit_are_named() -> None:
    with pytest.raises(ValueError, match="one transform or more"):
        OneOf(())
    with pytest.raises(ValueError, match="2 transforms but 3 weights"):
        OneOf((Identity(), Mirror()), (1, 2, 3))


def test_one_of_none_is_a_caller_s_mistake() -> None:
    with pytest.raises(ValueError, match="every weight is 0"):
        OneOf((Identity(), Mirror()), (0.0, 0.0))
