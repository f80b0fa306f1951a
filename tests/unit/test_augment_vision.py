"""Networks, training, files and tars of models.vision."""

from __future__ import annotations

import io
import tarfile
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from shared.errors import Code, GoodnoiseError

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

from models.precision import InBfloat16, check_precision  # noqa: E402
from models.vision.cifar import load_cifar  # noqa: E402
from models.vision.networks import NETWORKS, build_classifier  # noqa: E402
from models.vision.saving import load_classifier, save_classifier  # noqa: E402
from models.vision.training import Training, augmented, batches_of, fit, predict, rate_at  # noqa: E402


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def stripes(n: int, *, seed: int = 0, size: int = 16):
    """Class 0 has stripes across, class 1 along, under noise."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, n).astype(np.int64)
    wave = np.where(np.arange(size) % 4 < 2, 60, -60)
    images = rng.normal(128, 30, (n, 3, size, size))
    images += np.where(labels[:, None, None, None] == 0, wave[:, None], wave[None, :])
    return np.clip(images, 0, 255).astype(np.uint8), labels


def built(name: str = "tiny", seed: int = 1):
    torch.manual_seed(seed)
    return build_classifier(name, 2, size=16)


SHORT = Training(updates=40, batch=32, rate=0.1)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_gives_one_logit_a_class(name):
    network = build_classifier(name, 7, channels=1, size=32).eval()
    with torch.no_grad():
        assert network(torch.rand(2, 1, 32, 32)).shape == (2, 7)


@pytest.mark.parametrize(
    ("name", "classes", "size"), [("huge", 2, 32), ("tiny", 1, 32), ("small", 2, 4), ("small", 2, 33)]
)
def test_what_cannot_be_built_is_named(name, classes, size):
    with pytest.raises(ValueError, match="network"):
        build_classifier(name, classes, size=size)


def test_training_learns_to_tell_stripes():
    network = fit(built(), *stripes(300), SHORT, seed=3)
    images, labels = stripes(200, seed=9)
    assert (predict(network, images).argmax(1) == labels).mean() > 0.95


def test_same_seed_same_weights_another_seed_others():
    data = stripes(100)
    first, again, other = (predict(fit(built(), *data, SHORT, seed=s), data[0]) for s in (3, 3, 4))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_an_interrupted_training_ends_like_an_uninterrupted_one(tmp_path, monkeypatch):
    monkeypatch.setattr("models.vision.training._SAVE_EVERY", 10)
    data, state = stripes(100), tmp_path / "state.pt"
    whole = predict(fit(built(), *data, SHORT, seed=3), data[0])

    def stop(update: int, _loss: float) -> None:
        if update == 25:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(built(), *data, SHORT, seed=3, state=state, on_update=stop)
    seen: list[int] = []
    network = fit(built(seed=2), *data, SHORT, seed=3, state=state, on_update=lambda u, _: seen.append(u))
    assert seen[0] == 21
    assert np.array_equal(predict(network, data[0]), whole)
    assert not state.exists()


def test_the_state_of_another_training_is_refused(tmp_path):
    state = tmp_path / "state.pt"
    state.write_bytes(b"no state")
    with pytest.raises(GoodnoiseError, match=r"state\.pt") as caught:
        fit(built(), *stripes(50), SHORT, seed=3, state=state)
    assert caught.value.code == Code.CORRUPT


@pytest.fixture
def bfloat16():
    try:
        check_precision("bfloat16")
    except GoodnoiseError:
        pytest.skip("this processor has no bfloat16")


@pytest.mark.usefixtures("bfloat16")
def test_training_in_bfloat16_learns_and_leaves_float32_weights():
    images, labels = stripes(300)
    half, whole = (
        fit(built(), images, labels, replace(SHORT, precision=precision), seed=3)
        for precision in ("bfloat16", "float32")
    )
    assert {p.dtype for p in half.parameters()} == {torch.float32}
    other = stripes(200, seed=9)
    assert (predict(half, other[0]).argmax(1) == other[1]).mean() > 0.95
    assert not np.array_equal(predict(half, images), predict(whole, images))


@pytest.mark.usefixtures("bfloat16")
def test_gradients_in_bfloat16_point_where_those_in_float32_do():
    network = built("wide").eval()
    images = torch.rand(4, 3, 16, 16)

    def gradient(of):
        leaf = images.clone().requires_grad_()
        logits = of(leaf)
        assert logits.dtype == torch.float32
        return torch.autograd.grad(logits[:, 0].sum(), leaf)[0].flatten()

    exact, rough = gradient(network), gradient(InBfloat16(network))
    assert float(torch.nn.functional.cosine_similarity(exact, rough, dim=0)) > 0.99
    assert not torch.equal(exact, rough)


def test_a_processor_without_bfloat16_is_told_to_use_float32(monkeypatch):
    monkeypatch.setattr("models.precision._has_bfloat16", lambda: False)
    with pytest.raises(GoodnoiseError, match="use float32") as caught:
        fit(built(), *stripes(50), replace(SHORT, precision="bfloat16"), seed=3)
    assert caught.value.code == Code.PRECONDITION
    with pytest.raises(GoodnoiseError, match="use float32"):
        InBfloat16(built())
    fit(built(), *stripes(50), replace(SHORT, updates=1), seed=3)


def test_weights_decide_which_labels_count():
    images, labels = stripes(200)
    wrong = np.concatenate([labels, 1 - labels])
    weights = np.concatenate([np.ones(200), np.zeros(200)]).astype(np.float32)
    network = fit(built(), np.concatenate([images, images]), wrong, SHORT, seed=3, weights=weights)
    assert (predict(network, images).argmax(1) == labels).mean() > 0.95


def test_batches_show_every_image_once_each_time_through():
    images, labels = np.zeros((10, 1, 2, 2), np.uint8), np.arange(10)
    source = batches_of(images, labels, 4, seed=1)
    seen = np.concatenate([next(source).labels for _ in range(5)])
    assert sorted(seen[:10]) == sorted(seen[10:]) == list(range(10))


def test_batches_that_end_too_soon_are_named():
    data = stripes(50)
    few = iter([next(batches_of(*data, 8, seed=1))])
    with pytest.raises(ValueError, match="after 1 of 40"):
        fit(built(), *data, SHORT, seed=3, batches=few)


def test_the_rate_rises_to_its_peak_and_falls_to_nothing():
    settings = Training(updates=100, rate=1.0, warm_up=0.2)
    rates = [rate_at(i, settings) for i in range(100)]
    assert max(rates) == rates[20] == 1.0
    assert rates == sorted(rates[:20]) + sorted(rates[20:], reverse=True)
    assert rates[-1] < 0.01


def test_augmentation_moves_and_mirrors_but_keeps_pixels_together():
    image = torch.arange(3 * 16 * 16, dtype=torch.float32).reshape(1, 3, 16, 16).repeat(64, 1, 1, 1)
    moved = augmented(image, torch.Generator().manual_seed(0))
    assert moved.shape == image.shape
    # The channels of a pixel stay together, and the middle row's neighbours differ by one: mirrored or not.
    assert torch.equal(moved[:, 1] - moved[:, 0], torch.full((64, 16, 16), 256.0))
    steps = moved[:, 0, 8, 8] - moved[:, 0, 8, 7]
    assert set(steps.tolist()) == {1.0, -1.0}
    assert len({float(v) for v in moved[:, 0, 8, 8]}) > 10


@pytest.mark.parametrize(
    "given", [{"updates": 0}, {"augment": "mixup"}, {"warm_up": 1.0}, {"batch": 1}, {"precision": "int8"}]
)
def test_settings_out_of_range_are_named(given):
    with pytest.raises(ValueError, match="training"):
        Training(**given)


def test_a_saved_classifier_comes_back_with_its_names(tmp_path):
    network, images = built().eval(), stripes(8)[0]
    path = tmp_path / "a" / "net.npz"
    save_classifier(path, network, name="tiny", classes=("across", "along"), shape=(3, 16, 16))
    loaded = load_classifier(path)
    assert (loaded.name, loaded.classes, loaded.shape) == ("tiny", ("across", "along"), (3, 16, 16))
    assert len(loaded.sha256) == 64
    assert np.array_equal(predict(loaded.network, images), predict(network, images))


def test_what_is_no_classifier_is_refused(tmp_path):
    path = tmp_path / "net.npz"
    with pytest.raises(GoodnoiseError) as caught:
        load_classifier(path)
    assert caught.value.code == Code.NOT_FOUND
    path.write_bytes(b"PK nothing")
    with pytest.raises(GoodnoiseError) as caught:
        load_classifier(path)
    assert caught.value.code == Code.CORRUPT


def test_a_tar_is_read_in_the_order_of_names_and_kept(tmp_path):
    tar, cache = tmp_path / "train.tar", tmp_path / "cache"
    with tarfile.open(tar, "w") as archive:
        for kind, name, level in (("dog", "1.png", 9), ("cat", "0.png", 5), ("dog", "0.png", 7)):
            content = io.BytesIO()
            Image.new("RGB", (4, 4), (level, 0, 0)).save(content, "png")
            info = tarfile.TarInfo(f"train/{kind}/{name}")
            info.size = content.tell()
            archive.addfile(info, io.BytesIO(content.getvalue()))
    for _ in range(2):
        loaded = load_cifar(tar, cache=cache)
        assert loaded.classes == ("cat", "dog")
        assert loaded.labels.tolist() == [0, 1, 1]
        assert loaded.images[:, 0, 0, 0].tolist() == [5, 7, 9]
    assert len(list(cache.iterdir())) == 1
    assert loaded.take(np.array([2])).images[0, 0, 0, 0] == 9


def test_a_tar_that_is_none_is_refused(tmp_path):
    tar = tmp_path / "train.tar"
    with pytest.raises(GoodnoiseError) as caught:
        load_cifar(tar)
    assert caught.value.code == Code.NOT_FOUND
    tar.write_bytes(b"nothing of a tar")
    with pytest.raises(GoodnoiseError) as caught:
        load_cifar(tar)
    assert caught.value.code == Code.CORRUPT
