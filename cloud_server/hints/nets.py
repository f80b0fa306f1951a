"""The ensemble: recognisers as oracles, over ONNX Runtime or torch."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort

from models.gradients import build_gradient_graph
from models.importers.canonical import session
from models.store import Store, load_card
from shared.attack.keys import Keys
from shared.attack.oracles import LossGradient, Oracle
from shared.bundle import sha256_hex
from shared.errors import Code, GoodnoiseError

__all__ = ["Backend", "Net", "default_backend", "load_net", "require_torch"]

Floats = npt.NDArray[np.float32]
Backend = Literal["onnx", "torch"]


class Net(Protocol):
    """A recogniser of the ensemble."""

    @property
    def name(self) -> str:
        """The card's name."""

    @property
    def sha256(self) -> str:
        """Of the forward graph in the zoo, hex."""

    def embed(self, images: Floats) -> Floats:
        """Embeddings, float32 N D, of faces, float32 N 3 S S in [0,1]."""

    def away_from(self, anchors: Floats) -> Oracle:
        """The oracle whose loss is minus the cosine to each image's own anchor, float32 N D."""


@dataclass(frozen=True)
class OnnxNet:
    """A recogniser's gradient graph on ONNX Runtime."""

    name: str
    sha256: str
    embedding: int
    running: ort.InferenceSession

    def embed(self, images: Floats) -> Floats:
        """Embeddings, float32 N D, of faces, float32 N 3 S S in [0,1]."""
        count = len(images)
        inputs = {
            "face": images,
            "anchors": np.zeros((count, 1, self.embedding), np.float32),
            "weights": np.zeros((count, 1), np.float32),
        }
        return np.asarray(self.running.run(["embedding"], inputs)[0], np.float32)

    def away_from(self, anchors: Floats) -> Oracle:
        """The oracle whose loss is minus the cosine to each image's own anchor, float32 N D."""
        return _OnnxOracle(self.running, anchors[:, None, :], np.full((len(anchors), 1), -1.0, np.float32))


@dataclass(frozen=True, eq=False)
class _OnnxOracle:
    running: ort.InferenceSession
    anchors: Floats
    weights: Floats

    def __call__(self, images: Floats, keys: Keys, /) -> LossGradient:
        inputs = {
            "face": np.ascontiguousarray(images, np.float32),
            "anchors": self.anchors,
            "weights": self.weights,
        }
        loss, gradient = self.running.run(["loss", "gradient"], inputs)
        return LossGradient(loss, gradient)


def default_backend() -> Backend:
    """'torch' where it is installed, else 'onnx'; nothing is imported."""
    return "torch" if find_spec("torch") is not None else "onnx"


def load_net(name: str, store: Store, *, backend: Backend = "onnx", threads: int = 1) -> Net:
    """A recogniser of the zoo.

    Raises:
        GoodnoiseError: NOT_FOUND for an unknown name, INVALID_INPUT for a network in another frame than
            ArcFace's, PRECONDITION when it was not fetched or the backend is not installed.
    """
    card = load_card(name, store.folder)
    if card.kind != "recogniser" or card.frame != "arcface112":
        raise GoodnoiseError(
            Code.INVALID_INPUT,
            f"{name!r} is a {card.kind} in frame {card.frame!r}; hints are trained on recognisers in "
            "'arcface112'",
        )
    content = store.read(card)
    if backend == "torch":
        return _torch_net(name, content, threads)
    graph = build_gradient_graph(onnx.load_from_string(content), name=name)
    return OnnxNet(
        name, sha256_hex(content), card.embedding, session(graph.SerializeToString(), threads=threads)
    )


def require_torch(what: str) -> None:
    """Refuse early where torch is not installed.

    Raises:
        GoodnoiseError: PRECONDITION naming what needs it.
    """
    if find_spec("torch") is None:
        raise GoodnoiseError(
            Code.PRECONDITION, f"{what} needs torch to be trained; pip install 'goodnoise[train]'"
        )


def _torch_net(name: str, content: bytes, threads: int) -> Net:
    if find_spec("torch") is None:
        raise GoodnoiseError(
            Code.PRECONDITION,
            "backend 'torch' needs torch; pip install 'goodnoise[train]', or give --backend onnx",
        )
    import torch

    from cloud_server.hints.torch_net import TorchNet

    torch.set_num_threads(threads)
    return TorchNet(name, content)
