"""Surrogates: modules and ONNX files that say which weights they are; universal perturbations of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cloud_server.augment.recipes import RECIPES
from cloud_server.augment.types import Labels, Picture
from shared.errors import Code, GoodnoiseError

torch = pytest.importorskip("torch")

from onnx import TensorProto, helper, numpy_helper, save  # noqa: E402 - after torch was found
from torch import nn  # noqa: E402

from cloud_server.augment.crafting import Crafter  # noqa: E402
from cloud_server.augment.surrogate import as_surrogate, evaluating, sha256_of  # noqa: E402
from cloud_server.augment.universal import train_universal, universal_for  # noqa: E402

pytestmark = pytest.mark.torch

CLASSES = ("cat", "dog", "frog")
SHAPE = (3, 8, 8)


def network(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 16, 3)
    )


def onnx_file(path: Path, module: nn.Module, *, batch: int | str = "N") -> Path:
    """The module as exporters of torch write it: batch norm as a node of its own, opset 13."""
    conv, norm, dense = module[0], module[1], module[4]
    weights = {
        "w": conv.weight,
        "b": conv.bias,
        "gamma": norm.weight,
        "beta": norm.bias,
        "mean": norm.running_mean,
        "var": norm.running_var,
        "dw": dense.weight,
        "db": dense.bias,
    }
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["1"], kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4),
        helper.make_node("BatchNormalization", ["1", "gamma", "beta", "mean", "var"], ["2"]),
        helper.make_node("Relu", ["2"], ["3"]),
        helper.make_node("Reshape", ["3", "flat"], ["4"]),
        helper.make_node("Gemm", ["4", "dw", "db"], ["y"], transB=1),
    ]
    size = 1 if batch == 1 else -1
    flat = numpy_helper.from_array(np.array([size, 8 * 16], np.int64), "flat")
    tensors = [numpy_helper.from_array(v.detach().numpy(), k) for k, v in weights.items()]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, *SHAPE])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [batch, 3])],
        initializer=[*tensors, flat],
    )
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return path


@pytest.mark.parametrize("batch", ["N", 1])
def test_an_onnx_file_says_what_its_module_says_with_gradients(tmp_path: Path, batch: int | str):
    module = network()
    module[1].running_mean.uniform_(-0.2, 0.2)
    module.eval()
    surrogate = as_surrogate(
        onnx_file(tmp_path / "net.onnx", module, batch=batch), classes=CLASSES, shape=SHAPE
    )
    images = torch.rand(5, *SHAPE, requires_grad=True)
    torch.testing.assert_close(surrogate.network(images), module(images), rtol=1e-4, atol=1e-5)
    (expected,) = torch.autograd.grad(module(images)[:, 1].sum(), images)
    (found,) = torch.autograd.grad(surrogate.network(images)[:, 1].sum(), images)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)


def test_the_hash_is_of_the_weights_and_buffers_alone():
    one, same, other = network(), network(), network(1)
    assert sha256_of(one) == sha256_of(same) != sha256_of(other)
    same[1].running_mean += 1e-3
    assert sha256_of(one) != sha256_of(same)


def test_a_surrogate_is_a_copy_that_later_training_does_not_change():
    module = network().train()
    surrogate = as_surrogate(module, classes=CLASSES, shape=SHAPE)
    with torch.no_grad():
        module[4].weight += 1.0
    assert surrogate.sha256 == sha256_of(network()) != sha256_of(module)
    images = torch.rand(4, *SHAPE)
    torch.testing.assert_close(surrogate.network(images), network().eval()(images), rtol=1e-4, atol=1e-5)
    assert module.training
    assert not surrogate.network.training
    assert not any(p.requires_grad for p in surrogate.network.parameters())


@pytest.mark.parametrize(
    ("classes", "shape", "message"),
    [
        (("cat", "dog"), SHAPE, r"it returns \(2, 3\), expected logits \(2, 2\)"),
        (CLASSES, (3, 9, 12), "does not run on images of shape"),
        (CLASSES, (1, 8, 8), "does not run on images of shape"),
    ],
)
def test_a_network_of_another_shape_is_refused(
    classes: tuple[str, ...], shape: tuple[int, ...], message: str
):
    with pytest.raises(GoodnoiseError, match=message) as caught:
        as_surrogate(network(), classes=classes, shape=shape)  # type: ignore[arg-type]
    assert caught.value.code is Code.PRECONDITION


def test_batch_norm_is_folded_and_the_function_stays():
    module = network()
    module[1].running_mean.uniform_(-0.2, 0.2)
    module[1].running_var.uniform_(0.5, 2.0)
    surrogate = as_surrogate(module, classes=CLASSES, shape=SHAPE)
    assert not any(isinstance(part, nn.BatchNorm2d) for part in surrogate.network.modules())
    assert isinstance(module[1], nn.BatchNorm2d)
    images = torch.rand(4, *SHAPE)
    torch.testing.assert_close(surrogate.network(images), module.eval()(images), rtol=1e-4, atol=1e-5)


def test_files_that_are_none_are_named(tmp_path: Path):
    with pytest.raises(GoodnoiseError, match=r"there is no file .*gone\.onnx"):
        as_surrogate(tmp_path / "gone.onnx", classes=CLASSES, shape=SHAPE)
    (tmp_path / "net.pt").write_bytes(b"x")
    with pytest.raises(GoodnoiseError, match=r"neither \.onnx nor \.npz"):
        as_surrogate(tmp_path / "net.pt", classes=CLASSES, shape=SHAPE)
    (tmp_path / "net.onnx").write_bytes(b"x")
    with pytest.raises(GoodnoiseError, match="no valid ONNX file"):
        as_surrogate(str(tmp_path / "net.onnx"), classes=CLASSES, shape=SHAPE)


def test_evaluating_leaves_all_as_it_was():
    module, threads = network().train(), torch.get_num_threads()
    torch.set_num_threads(2)
    with evaluating(module):
        assert not module.training
        assert torch.get_num_threads() == 1
    assert module.training
    assert torch.get_num_threads() == 2
    torch.set_num_threads(threads)


class Pictures:
    """A dataset in memory."""

    classes, groups, group_names, split = CLASSES, None, (), "train"

    def __init__(self, rng: np.random.Generator) -> None:
        self.images = rng.integers(60, 196, (60, 8, 8, 3), dtype=np.uint8)
        self.labels: Labels = np.repeat([0, 1, 2], 20)
        self.read_indices: set[int] = set()

    def __len__(self) -> int:
        return 60

    def name(self, index: int) -> str:
        return str(index)

    def read(self, index: int) -> Picture:
        self.read_indices.add(index)
        return self.images[index]

    def digest(self, index: int) -> str:
        return ""


def test_a_universal_perturbation_moves_images_that_it_was_not_made_of(rng: np.random.Generator):
    source, held_out = Pictures(rng), Pictures(np.random.default_rng(1))
    surrogate = as_surrogate(network(), classes=CLASSES, shape=SHAPE)
    recipe = RECIPES["universal"].with_(radius=16, steps=60)
    patterns = train_universal(recipe, surrogate, source, seed=3, batch=16)
    assert set(patterns) == {0, 1, 2}
    assert all(abs(pattern).max() <= 16 / 255 + 1e-6 for pattern in patterns.values())
    crafter = Crafter(recipe, surrogate, seed=3, universal=patterns)
    planes = held_out.images.transpose(0, 3, 1, 2).copy()
    for target in range(3):
        targets = np.full(60, target)
        moved = crafter.perturb(planes, held_out.labels, targets, range(60))
        after, before = crafter.judge(moved, targets).confidence, crafter.judge(planes, targets).confidence
        assert (after > before).all()
        assert (after - before).mean() > 0.01


def test_the_targets_own_images_are_not_read_and_finished_targets_stay(rng: np.random.Generator):
    source, surrogate = Pictures(rng), as_surrogate(network(), classes=CLASSES, shape=SHAPE)
    recipe = RECIPES["universal"].with_(steps=5)
    steps: list[tuple[int, int]] = []
    pattern = universal_for(
        recipe, surrogate, source, 1, seed=3, batch=32, on_step=lambda t, s, loss: steps.append((t, s))
    )
    assert steps == [(1, s) for s in range(5)]
    assert source.read_indices == set(range(20)) | set(range(40, 60))
    kept: list[int] = []
    found = train_universal(
        recipe, surrogate, source, seed=3, batch=32, done={0: pattern}, on_target=lambda t, p: kept.append(t)
    )
    assert kept == [1, 2]
    assert found[0] is pattern
    assert np.array_equal(found[1], pattern)


def test_halved_steps_of_a_universal_perturbation_are_as_many_and_go_less_far(rng: np.random.Generator):
    source, surrogate = Pictures(rng), as_surrogate(network(), classes=CLASSES, shape=SHAPE)
    recipe = RECIPES["universal"].with_(radius=16, steps=6, step=1.6)
    steps: list[int] = []
    farthest = [
        abs(
            universal_for(
                recipe,
                surrogate,
                source,
                1,
                seed=3,
                batch=32,
                halvings=halvings,
                on_step=lambda _t, s, _l: steps.append(s),
            )
        ).max()
        for halvings in (0, 2)
    ]
    # Six steps of a tenth of the budget; two each of a tenth, a twentieth and a fortieth.
    assert farthest == pytest.approx([0.6 * 16 / 255, 0.35 * 16 / 255], rel=1e-4)
    assert steps == 2 * list(range(6))


def test_only_recipes_that_add_them_train_universal_perturbations(rng: np.random.Generator):
    surrogate = as_surrogate(network(), classes=CLASSES, shape=SHAPE)
    with pytest.raises(ValueError, match="recipe 'm2m' adds no universal perturbations"):
        train_universal(RECIPES["m2m"], surrogate, Pictures(rng), seed=3)
    alone = Pictures(rng)
    alone.labels = np.zeros(60, np.int64)
    with pytest.raises(ValueError, match="no image is of another class than 'cat'"):
        train_universal(RECIPES["universal"], surrogate, alone, seed=3)
