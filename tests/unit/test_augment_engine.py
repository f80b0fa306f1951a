"""The engine: what it makes keeps its budget, says where it is from, and is the same every time."""

from __future__ import annotations

import hashlib
import io
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from cloud_server.augment.plan import plan
from cloud_server.augment.recipes import RECIPES, Recipe, Size
from cloud_server.augment.types import Draw, Kind, Labels, Picture
from shared.errors import Code, GoodnoiseError

torch = pytest.importorskip("torch")

from PIL import Image  # noqa: E402 - after torch was found
from torch import nn  # noqa: E402

from cloud_server.augment.crafting import Crafter  # noqa: E402
from cloud_server.augment.engine import Engine  # noqa: E402
from cloud_server.augment.surrogate import Surrogate, as_surrogate  # noqa: E402

pytestmark = pytest.mark.torch

CLASSES = ("cat", "dog", "frog")
SHAPE = (3, 8, 8)


class File:
    """A file format of Pillow's."""

    def __init__(self, name: str = "png", **settings: object) -> None:
        self.name, self.suffix, self._settings = name, f".{name}", settings

    def encode(self, picture: Picture) -> bytes:
        file = io.BytesIO()
        Image.fromarray(picture).save(file, self.name, **self._settings)
        return file.getvalue()

    def decode(self, data: bytes) -> Picture:
        return np.asarray(Image.open(io.BytesIO(data)))


class Pictures:
    """A dataset in memory that counts how often it is read."""

    split = "train"

    def __init__(self, images: npt.NDArray[np.uint8], labels: Labels, groups: Labels | None = None) -> None:
        self.images, self.labels, self.groups = images, labels, groups
        self.classes: tuple[str, ...] = CLASSES
        self.group_names = () if groups is None else ("indoors", "outdoors")
        self.reads = 0

    def __len__(self) -> int:
        return len(self.images)

    def name(self, index: int) -> str:
        return f"{index:04d}.png"

    def read(self, index: int) -> Picture:
        self.reads += 1
        return self.images[index]

    def digest(self, index: int) -> str:
        return hashlib.sha256(self.images[index].tobytes()).hexdigest()


@pytest.fixture
def source(rng: np.random.Generator) -> Pictures:
    images = rng.integers(0, 256, (60, 8, 8, 3), dtype=np.uint8)
    return Pictures(images, np.repeat([0, 1, 2], [40, 15, 5]), np.tile([0, 0, 1], 20))


def network(classes: int = 3, *, scale: float = 8.0, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    dense = nn.Linear(16 * 16, classes)
    dense.weight.data *= scale
    return nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1), nn.BatchNorm2d(16), nn.ReLU(), nn.Flatten(), dense)


@pytest.fixture
def surrogate() -> Surrogate:
    return as_surrogate(network(), classes=CLASSES, shape=SHAPE)


def engine(recipe: Recipe, surrogate: Surrogate | None, **settings: object) -> Engine:
    return Engine(recipe, surrogate, **{"codec": File(), "seed": 7, **settings})  # type: ignore[arg-type]


def draws(source: Pictures, recipe: Recipe) -> tuple[Draw, ...]:
    return plan(source.labels, classes=CLASSES, recipe=recipe, seed=7, groups=source.groups)


def confidence(surrogate: Surrogate, picture: Picture, target: int) -> float:
    with torch.no_grad():
        planes = torch.from_numpy(picture.transpose(2, 0, 1).copy())[None] / 255.0
        return float(torch.softmax(surrogate.network(planes), dim=1)[0, target])


def test_what_is_accepted_is_so_in_the_file_itself(source: Pictures, surrogate: Surrogate):
    recipe = RECIPES["m2m"].with_(tries=3, suppress=0.1, confidence=0.6)
    samples = engine(recipe, surrogate).make(draws(source, recipe), source)
    made = [sample for sample in samples if sample.provenance.kind is Kind.ADVERSARIAL]
    assert len(made) > 20
    for sample in made:
        decoded = np.asarray(Image.open(io.BytesIO(sample.data)))
        assert confidence(surrogate, decoded, sample.draw.target) >= 0.6 - 1e-4
        row = sample.provenance
        assert row.accepted
        assert row.confidence == pytest.approx(confidence(surrogate, decoded, sample.draw.target), abs=1e-4)
        change = (decoded.astype(float) - source.images[sample.parent]) / 255
        assert row.l2 == pytest.approx(np.sqrt((change**2).sum()))
        assert row.l2 <= 1.5 + 1e-6
        assert row.levels == round(np.abs(change).max() * 255)


def test_provenance_says_what_was_made_of_what(source: Pictures, surrogate: Surrogate):
    recipe = RECIPES["paper"].with_(steps=5)
    sample = engine(recipe, surrogate).make(draws(source, recipe), source)[0]
    row, parent = sample.provenance, sample.draw.seeds[0]
    assert sample.parent == parent
    assert (row.parent, row.parent_sha256) == (source.name(parent), source.digest(parent))
    assert (row.source_label, row.target_label, row.target) == ("cat", "dog", "dog")
    assert row.surrogate_sha256 == surrogate.sha256
    assert (row.recipe, row.budget, row.steps) == ("paper/1 steps=5", "l2 0.5", 5)
    assert (row.encoding, row.seed, row.number, row.tries) == ("png", 7, 0, 1)


def test_an_attack_raises_the_target_where_noise_of_the_same_size_does_not(
    source: Pictures, surrogate: Surrogate
):
    attacked = engine(RECIPES["paper"].with_(steps=20), surrogate)
    noisy = RECIPES["noise-relabelled"]
    asked = draws(source, RECIPES["paper"])
    gains = []
    for maker in (attacked, engine(noisy, None)):
        samples = maker.make(asked, source)
        after = [confidence(surrogate, s.picture, s.draw.target) for s in samples]
        before = [confidence(surrogate, source.images[s.parent], s.draw.target) for s in samples]
        gains.append(np.mean(after) - np.mean(before))
    assert gains[0] > 0.15
    assert abs(gains[1]) < 0.05


def test_another_try_is_made_of_another_parent_and_only_for_what_failed(
    source: Pictures, surrogate: Surrogate
):
    recipe = RECIPES["m2m"].with_(confidence=0.6, suppress=0.0)
    once = engine(recipe, surrogate).make(draws(source, recipe), source)
    several = recipe.with_(tries=4)
    again = engine(several, surrogate).make(draws(source, several), source)
    accepted = [sum(s.provenance.accepted for s in samples) for samples in (once, again)]
    assert 0 < accepted[0] < accepted[1]
    for sample in again:
        if sample.provenance.accepted:
            assert sample.parent == sample.draw.seeds[sample.provenance.tries - 1]


@pytest.mark.parametrize("fallback", ["duplicate", "keep", "drop"])
def test_what_fails_falls_back_as_the_recipe_says(source: Pictures, surrogate: Surrogate, fallback: str):
    recipe = RECIPES["m2m"].with_(confidence=1.0, radius=0.01, fallback=fallback)
    asked = draws(source, recipe)
    samples = engine(recipe, surrogate).make(asked, source)
    if fallback == "drop":
        assert samples == []
        return
    assert [sample.draw for sample in samples] == list(asked)
    kind = Kind.DUPLICATE if fallback == "duplicate" else Kind.UNACCEPTED
    assert {sample.provenance.kind for sample in samples} == {kind}
    assert not any(sample.provenance.accepted for sample in samples)
    for sample in samples:
        if fallback == "duplicate":
            assert sample.parent == sample.draw.spare
            assert np.array_equal(sample.picture, source.images[sample.draw.spare])
            assert sample.provenance.source_label == sample.provenance.target_label
            assert sample.provenance.surrogate_sha256 == ""


def test_without_a_spare_there_is_no_duplicate(source: Pictures, surrogate: Surrogate):
    recipe = RECIPES["m2m"].with_(confidence=1.0)
    assert engine(recipe, surrogate).make([Draw(0, 2, 2, (0,))], source) == []


def test_of_several_failures_the_best_is_kept(source: Pictures, surrogate: Surrogate):
    recipe = RECIPES["m2m"].with_(confidence=1.0, fallback="keep", tries=5)
    asked = draws(source, recipe)[:10]
    kept = engine(recipe, surrogate).make(asked, source)
    first = engine(recipe.with_(tries=1), surrogate).make(asked, source)
    assert any(sample.provenance.tries > 1 for sample in kept)
    for best, one in zip(kept, first, strict=True):
        assert best.provenance.confidence >= one.provenance.confidence
        assert best.parent == best.draw.seeds[best.provenance.tries - 1]


@pytest.mark.parametrize("name", [name for name, row in RECIPES.items() if not (row.bias or row.universal)])
def test_the_same_draws_give_the_same_bytes(source: Pictures, surrogate: Surrogate, name: str):
    recipe = RECIPES[name] if RECIPES[name].attack is None else RECIPES[name].with_(steps=3)
    needed = surrogate if recipe.surrogate else None
    asked = draws(source, recipe)[:20]
    first = engine(recipe, needed).make(asked, source)
    maker = engine(recipe, needed)
    maker.make(asked[5:9], source)
    torch.set_num_threads(2)
    again = maker.make(asked, source)
    torch.set_num_threads(1)
    assert [sample.data for sample in first] == [sample.data for sample in again]
    assert [sample.provenance for sample in first] == [sample.provenance for sample in again]


def test_a_short_batch_is_filled_up_so_that_images_do_not_feel_their_neighbours(
    source: Pictures, surrogate: Surrogate
):
    recipe = RECIPES["m2m"].with_(fallback="keep", suppress=0.0)
    asked = draws(source, recipe)[:10]
    sizes = []
    watched = replace(surrogate, network=_Watched(surrogate.network, sizes))
    whole = engine(recipe, watched, batch=8).make(asked, source)
    assert set(sizes) == {8}
    alone = [engine(recipe, watched, batch=8).make([draw], source)[0] for draw in asked]
    assert [sample.data for sample in whole] == [sample.data for sample in alone]


class _Watched(nn.Module):
    def __init__(self, inner: nn.Module, sizes: list[int]) -> None:
        super().__init__()
        self.inner, self.sizes = inner, sizes

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.sizes.append(len(images))
        return self.inner(images)


def test_another_seed_gives_other_noise(source: Pictures):
    asked = draws(source, RECIPES["noise"])[:4]
    one = engine(RECIPES["noise"], None).make(asked, source)
    other = engine(RECIPES["noise"], None, seed=8).make(asked, source)
    assert all(a.data != b.data for a, b in zip(one, other, strict=True))


def test_controls_are_what_they_are_called(source: Pictures):
    for name, kind in (
        ("noise", Kind.NOISE),
        ("unperturbed", Kind.UNPERTURBED),
        ("duplicate", Kind.DUPLICATE),
    ):
        samples = engine(RECIPES[name], None).make(draws(source, RECIPES[name]), source)
        assert {sample.provenance.kind for sample in samples} == {kind}
        for sample in samples:
            same = np.array_equal(sample.picture, source.images[sample.parent])
            assert same is (kind is not Kind.NOISE)
            if kind is Kind.NOISE:
                assert 0.45 <= sample.provenance.l2 <= 0.5


def test_a_lossy_format_is_judged_by_what_is_read_back(source: Pictures, surrogate: Surrogate):
    recipe = RECIPES["paper"].with_(steps=5)
    sample = engine(recipe, surrogate, codec=File("jpeg", quality=60)).make(
        draws(source, recipe)[:1], source
    )[0]
    decoded = np.asarray(Image.open(io.BytesIO(sample.data)))
    assert np.array_equal(sample.picture, decoded)
    assert sample.provenance.l2 > 0.5
    assert sample.provenance.confidence == pytest.approx(confidence(surrogate, decoded, 1), abs=1e-4)


def test_m2m_holds_the_second_networks_view_of_the_parent_down(source: Pictures, surrogate: Surrogate):
    second = as_surrogate(network(seed=5), classes=CLASSES, shape=SHAPE)
    seen = []
    for suppress in (0.0, 20.0):
        recipe = RECIPES["m2m"].with_(suppress=suppress, fallback="keep", confidence=0.0)
        samples = engine(recipe, surrogate, second=second).make(draws(source, recipe), source)
        with torch.no_grad():
            planes = torch.from_numpy(np.stack([s.picture for s in samples]).transpose(0, 3, 1, 2).copy())
            logits = second.network(planes / 255.0)
        origins = torch.from_numpy(source.labels[[s.parent for s in samples]])
        seen.append(float(logits.gather(1, origins[:, None]).mean()))
    assert seen[1] < seen[0] - 1.0


def test_a_network_under_training_goes_on_training(source: Pictures, surrogate: Surrogate):
    second = Surrogate(network(seed=5).train(), CLASSES, SHAPE)
    before = {name: value.clone() for name, value in second.network.state_dict().items()}
    images = source.images[:4].transpose(0, 3, 1, 2)
    origins, targets = source.labels[:4], np.array([1, 2, 1, 2])
    done = engine(RECIPES["m2m"], surrogate, second=second).perturb(images, origins, targets, range(4))
    assert second.network.training
    assert all(torch.equal(value, before[name]) for name, value in second.network.state_dict().items())
    assert all(p.requires_grad and p.grad is None for p in second.network.parameters())
    assert done.images.shape == images.shape
    assert done.images.dtype == np.uint8
    assert np.array_equal(done.accepted, done.confidence >= 0.9)


def test_against_bias_the_label_stays_and_the_group_moves(source: Pictures):
    groups = as_surrogate(network(2), classes=("indoors", "outdoors"), shape=SHAPE)
    asked = draws(source, RECIPES["aeda"])
    samples = engine(RECIPES["aeda"], groups).make(asked, source)
    assert samples
    for sample in samples:
        row = sample.provenance
        assert row.target == "outdoors"
        assert row.source_label == row.target_label == CLASSES[source.labels[sample.parent]]
        assert row.levels <= 8
    assert np.mean([sample.provenance.accepted for sample in samples]) > 0.8


def test_universal_perturbations_are_added_and_cut_to_the_budget(source: Pictures, surrogate: Surrogate):
    recipe = RECIPES["universal"].with_(radius=4)
    patterns = {k: np.full(SHAPE, 0.02, np.float32) for k in range(3)}
    samples = engine(recipe, surrogate, universal=patterns).make(draws(source, recipe), source)
    for sample in samples:
        change = sample.picture.astype(int) - source.images[sample.parent]
        free = source.images[sample.parent] < 250
        assert (change[free] == 4).all()
    with pytest.raises(ValueError, match="adds universal perturbations: train them first"):
        engine(recipe, surrogate)
    with pytest.raises(ValueError, match="no perturbation for target 1"):
        engine(recipe, surrogate, universal={}).make(draws(source, recipe), source)


def test_what_does_not_fit_is_named(source: Pictures, surrogate: Surrogate):
    small = as_surrogate(
        nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(12, 3)),
        classes=CLASSES,
        shape=(3, 4, 4),
    )
    with pytest.raises(
        GoodnoiseError, match=r"'0000\.png': expected 4 x 4 with 3 channels, got 8 x 8"
    ) as caught:
        engine(RECIPES["paper"].with_(steps=1), small).make([Draw(0, 1, 1, (0,))], source)
    assert caught.value.code is Code.INVALID_INPUT
    resized = engine(RECIPES["paper"].with_(steps=1), small, resize=True).make([Draw(0, 1, 1, (0,))], source)
    assert resized[0].picture.shape == (4, 4, 3)
    assert resized[0].provenance.parent_sha256 == source.digest(0)
    source.classes = ("cat", "toad", "frog")
    with pytest.raises(GoodnoiseError, match="knows no class 'toad'"):
        engine(RECIPES["paper"], surrogate).make([Draw(0, 1, 1, (0,))], source)


def test_grey_pictures_are_repeated_for_a_network_of_colours(source: Pictures, surrogate: Surrogate):
    source.images = source.images[:, :, :, :1]
    sample = engine(RECIPES["paper"].with_(steps=2), surrogate).make([Draw(0, 1, 1, (0,))], source)[0]
    assert sample.picture.shape == (8, 8, 3)
    assert sample.provenance.l2 <= 0.5


def test_missing_parts_are_named(surrogate: Surrogate):
    with pytest.raises(ValueError, match="recipe 'm2m' attacks a surrogate: give one"):
        engine(RECIPES["m2m"], None)
    with pytest.raises(ValueError, match="batch must be 1 or more, got 0"):
        engine(RECIPES["m2m"], surrogate, batch=0)
    other = as_surrogate(network(), classes=("a", "b", "c"), shape=SHAPE)
    with pytest.raises(ValueError, match="second: its classes"):
        engine(RECIPES["m2m"], surrogate, second=other)


def test_a_surrogate_that_is_sure_of_nothing_accepts_only_the_first_place():
    flat = nn.Sequential(nn.Flatten(), nn.Linear(192, 3))
    flat[1].weight.data.zero_()
    flat[1].bias.data[:] = torch.tensor([1.0, 0.0, 0.0])
    crafter = Crafter(RECIPES["paper"], as_surrogate(flat, classes=CLASSES, shape=SHAPE), seed=1, batch=4)
    judged = crafter.judge(np.zeros((5, *SHAPE), np.uint8), np.array([0, 1, 2, 0, 1]))
    assert judged.accepted.tolist() == [True, False, False, True, False]
    assert judged.confidence[:2] == pytest.approx(np.exp([1, 0]) / (np.e + 2))


def test_noise_may_be_given_in_levels(source: Pictures):
    recipe = replace(RECIPES["noise"], budget=Size("linf", 4))
    samples = engine(recipe, None).make(draws(source, recipe)[:5], source)
    assert all(sample.provenance.levels == 4 for sample in samples)
