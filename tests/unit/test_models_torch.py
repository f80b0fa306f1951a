"""The torch form of every operator computes what ONNX Runtime computes."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from shared.attack.keys import Keys
from shared.errors import Code, GoodnoiseError

torch = pytest.importorskip("torch", reason="needs the train extra")

from models.torch_graph import TorchGraph  # noqa: E402
from models.torch_operators import OPERATORS  # noqa: E402
from models.torch_oracle import TorchOracle, frozen  # noqa: E402

pytestmark = pytest.mark.torch

SHAPE = (2, 4, 9, 7)


def ints(*values: int) -> npt.NDArray[np.int64]:
    return np.array(values, np.int64)


def normal(*shape: int) -> npt.NDArray[np.float32]:
    return np.random.default_rng(7).normal(size=shape).astype(np.float32)


# Operator, constants after its input, attributes; the input is standard normal, of SHAPE.
CASES: list[tuple[str, list[Any], dict[str, Any]]] = [
    *((name, [], {}) for name in ("Abs", "Erf", "Exp", "HardSwish", "Identity", "Neg", "Reciprocal", "Relu")),
    *((name, [], {}) for name in ("Sigmoid", "Softplus", "Tanh", "GlobalAveragePool", "Flatten", "Dropout")),
    *((name, [], {}) for name in ("HardSigmoid", "LeakyRelu", "Elu", "Softmax", "LogSoftmax", "Transpose")),
    *((name, [normal(4, 1, 1)], {}) for name in ("Add", "Sub", "Mul", "Div", "Max", "Min", "PRelu", "Sum")),
    ("PRelu", [normal(9, 7)], {}),
    ("Pow", [np.array(2, np.float32)], {}),
    ("Sqrt", [], {}),
    ("Log", [], {}),
    ("Cast", [], {"to": TensorProto.DOUBLE}),
    ("Clip", [np.array(-0.5, np.float32), np.array(0.5, np.float32)], {}),
    ("Clip", [None, np.array(0.5, np.float32)], {}),
    ("Concat", [normal(2, 3, 9, 7)], {"axis": 1}),
    ("Conv", [normal(6, 2, 3, 2), normal(6)], {"group": 2, "strides": [2, 1], "pads": [1, 0, 2, 1]}),
    ("Conv", [normal(4, 4, 3, 3)], {"auto_pad": "SAME_UPPER", "strides": [2, 2]}),
    ("Conv", [normal(4, 4, 3, 3)], {"auto_pad": "SAME_LOWER", "strides": [2, 2]}),
    ("Conv", [normal(4, 4, 2, 2)], {"dilations": [2, 3], "pads": [1, 1, 1, 1]}),
    ("MaxPool", [], {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [0, 1, 1, 0]}),
    ("MaxPool", [], {"kernel_shape": [2, 2], "strides": [2, 2], "ceil_mode": 1}),
    ("AveragePool", [], {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}),
    ("AveragePool", [], {"kernel_shape": [3, 3], "pads": [1, 0, 1, 2], "count_include_pad": 1}),
    ("BatchNormalization", [normal(4), normal(4), normal(4), np.abs(normal(4)) + 0.5], {"epsilon": 1e-3}),
    ("InstanceNormalization", [normal(4), normal(4)], {}),
    ("LayerNormalization", [normal(9, 7), normal(9, 7)], {"axis": 2}),
    ("LpNormalization", [], {"axis": 1}),
    ("Expand", [ints(3, 2, 4, 9, 7)], {}),
    ("Gather", [ints(2, 0, -1)], {"axis": 1}),
    ("Gather", [np.array(-2, np.int64)], {"axis": 3}),
    ("Gather", [np.array([[1, 0], [0, 1]], np.int64)], {}),
    ("MatMul", [normal(7, 5)], {}),
    ("Pad", [ints(0, 0, 1, 2, 0, 3, 0, 1)], {}),
    ("Pad", [ints(1, 2, 3, 0), np.array(1.5, np.float32), ints(2, 3)], {}),
    ("Pad", [ints(0, 0, 1, 2, 0, 0, 2, 1)], {"mode": "reflect"}),
    ("Pad", [ints(0, 0, 1, 2, 0, 0, 2, 1)], {"mode": "edge"}),
    ("ReduceL2", [ints(1)], {}),
    ("ReduceMean", [ints(2, 3)], {"keepdims": 0}),
    ("ReduceSum", [], {}),
    ("ReduceSum", [ints(-1)], {}),
    ("ReduceSumSquare", [ints(1, 2)], {}),
    ("Reshape", [ints(0, -1, 3)], {}),
    ("Resize", [None, np.array([1, 1, 2, 2], np.float32)], {
        "mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}),
    ("Resize", [None, None, ints(2, 4, 13, 5)], {"mode": "linear"}),
    ("Slice", [ints(1, 5), ints(4, -20), ints(1, 3), ints(2, -2)], {}),
    ("Slice", [ints(-3), ints(100), ints(2)], {}),
    ("Unsqueeze", [ints(0, -1)], {}),
    ("Transpose", [], {"perm": [0, 2, 3, 1]}),
]  # fmt: skip

POSITIVE = {"Sqrt", "Log"}


def model(nodes: list[onnx.NodeProto], constants: dict[str, Any], shape: tuple[int, ...] = SHAPE) -> bytes:
    graph = helper.make_graph(
        nodes,
        "case",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, list(shape))],
        [onnx.ValueInfoProto(name="y")],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    return bytes(made.SerializeToString())


def both(content: bytes, image: npt.NDArray[np.float32]) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    running = ort.InferenceSession(content, providers=["CPUExecutionProvider"])
    with torch.no_grad():
        result = TorchGraph(content)(torch.from_numpy(image)).numpy()
    return result, running.run(None, {"x": image})[0]


@pytest.mark.parametrize(
    ("op", "constants", "attributes"), CASES, ids=[f"{i}-{c[0]}" for i, c in enumerate(CASES)]
)
def test_an_operator_agrees_with_onnx_runtime(
    op: str, constants: list[Any], attributes: dict[str, Any]
) -> None:
    image = normal(*SHAPE)
    image = np.abs(image) + 0.1 if op in POSITIVE else image
    names = ["" if value is None else f"c{i}" for i, value in enumerate(constants)]
    weights = {name: value for name, value in zip(names, constants, strict=True) if name}
    node = helper.make_node(op, ["x", *names], ["y"], **attributes)
    result, expected = both(model([node], weights), image)
    assert result.shape == expected.shape
    assert result.dtype == expected.dtype
    np.testing.assert_allclose(result, expected, rtol=2e-5, atol=2e-5)


def test_operators_with_more_than_one_tensor_in_or_out_agree() -> None:
    halves = np.array([0.5], np.float32)
    nodes = [
        helper.make_node("Split", ["x"], ["a", "b"], axis=1, num_outputs=2),
        helper.make_node("Shape", ["a"], ["shape"]),
        helper.make_node("Reshape", ["b", "shape"], ["same"]),
        helper.make_node("Cast", ["a"], ["condition"], to=TensorProto.BOOL),
        helper.make_node("Where", ["condition", "same", "a"], ["w"]),
        helper.make_node("Unsqueeze", ["w", "one"], ["u"]),
        helper.make_node("Squeeze", ["u", "one"], ["s"]),
        helper.make_node("Flatten", ["s"], ["f"]),
        helper.make_node("Gemm", ["f", "weight", "bias"], ["g"], alpha=0.5, beta=2.0, transB=1),
        helper.make_node("Shape", ["g"], ["wanted"]),
        helper.make_node("ConstantOfShape", ["wanted"], ["half"], value=numpy_helper.from_array(halves)),
        helper.make_node("ConstantOfShape", ["wanted"], ["zero"]),
        helper.make_node("Sum", ["g", "half", "zero"], ["y"]),
    ]
    constants = {"one": ints(1), "weight": normal(3, 126), "bias": normal(3)}
    result, expected = both(model(nodes, constants), normal(*SHAPE))
    np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-4)


def test_every_operator_of_the_table_is_tested() -> None:
    here = {case[0] for case in CASES} | {"Split", "Shape", "Where", "Squeeze", "Gemm", "ConstantOfShape"}
    # Gelu joined ONNX in opset 20; it is checked against its definition.
    assert set(OPERATORS) - here == {"Gelu"}
    x = torch.linspace(-3, 3, 31)
    torch.testing.assert_close(OPERATORS["Gelu"]({}, x), x * 0.5 * (1 + torch.erf(x / 2**0.5)))


def test_an_unknown_operator_is_named() -> None:
    node = helper.make_node("Det", ["x"], ["y"], name="determinant")
    with pytest.raises(GoodnoiseError, match=r"'Det' of node 'determinant'") as caught:
        TorchGraph(model([node], {}))
    assert caught.value.code is Code.INVALID_INPUT


@pytest.fixture
def network() -> TorchGraph:
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], strides=[2, 2]),
        helper.make_node("Tanh", ["c"], ["t"]),
        helper.make_node("Flatten", ["t"], ["f"]),
        helper.make_node("MatMul", ["f", "d"], ["y"]),
    ]
    return TorchGraph(model(nodes, {"w": normal(3, 3, 2, 2), "d": normal(3 * 16, 5)}, (1, 3, 8, 8))).double()


def test_weights_can_be_trained_and_frozen(network: TorchGraph) -> None:
    image = torch.rand(2, 3, 8, 8, dtype=torch.float64)
    network(image).square().sum().backward()
    assert all(weight.grad is not None and weight.grad.abs().sum() > 0 for weight in network.parameters())
    assert not any(weight.requires_grad for weight in frozen(network).parameters())
    assert not network.training


@pytest.mark.parametrize("channels_last", [False, True])
def test_the_oracle_s_gradient_is_the_slope_of_its_loss(network: TorchGraph, channels_last: bool) -> None:
    generator = torch.Generator().manual_seed(3)
    images = torch.rand(2, 3, 8, 8, generator=generator, dtype=torch.float64)
    anchors = torch.randn(2, 3, 5, generator=generator, dtype=torch.float64)
    weights = torch.tensor([[-1.0, -0.5, 0.0], [0.3, 0.3, 1.0]], dtype=torch.float64)
    oracle = TorchOracle(frozen(network, channels_last=channels_last), anchors, weights, channels_last)
    keys = Keys(0, (1, 2))
    before = images.clone()
    loss, gradient = oracle(images, keys)
    assert not loss.requires_grad
    assert torch.equal(images, before)
    assert gradient.shape == images.shape
    cosines = torch.nn.functional.cosine_similarity(network(images)[:, None], anchors, dim=-1)
    torch.testing.assert_close(loss, (weights * cosines).sum(dim=1))
    direction = torch.randn(images.shape, generator=generator, dtype=torch.float64)
    step = 1e-6
    ahead, _ = oracle(images + step * direction, keys)
    behind, _ = oracle(images - step * direction, keys)
    slope = (gradient * direction).sum(dim=(1, 2, 3))
    torch.testing.assert_close((ahead - behind) / (2 * step), slope, rtol=1e-5, atol=1e-7)


def test_a_zero_embedding_gives_no_nan() -> None:
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 4, bias=False))
    torch.nn.init.zeros_(network[1].weight)
    oracle = TorchOracle(frozen(network), torch.ones(1, 1, 4), -torch.ones(1, 1))
    loss, gradient = oracle(torch.rand(2, 3, 2, 2), Keys(0, (1, 2)))
    assert torch.isfinite(loss).all()
    assert torch.isfinite(gradient).all()
