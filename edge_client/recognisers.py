"""The networks of an installed bundle, running on stock ONNX Runtime."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from shared.attack.oracles import Keys, LossGradient
from shared.bundle import Member
from shared.cards import Card
from shared.errors import Code, GoodnoiseError
from shared.faces.frames import FRAMES, Frame

__all__ = ["GradientOracle", "Recogniser", "load_recogniser"]

Floats = npt.NDArray[np.float32]

# Inputs and outputs of a bundle's graphs, by role.
_GRAPHS = {
    "surrogate": ({"face", "anchors", "weights"}, {"loss", "gradient", "embedding"}),
    "checker": ({"face"}, {"embedding"}),
}


@dataclass(frozen=True)
class Recogniser:
    """One network: its card, its role in the bundle, the check's margin, and a session."""

    card: Card
    role: str
    margin: float
    session: ort.InferenceSession

    @property
    def name(self) -> str:
        """The card's name."""
        return self.card.name

    @property
    def frame(self) -> Frame:
        """Where the network expects the face."""
        return FRAMES[self.card.frame]

    @property
    def threshold(self) -> float:
        """The similarity at which two faces match.

        Raises:
            GoodnoiseError: CORRUPT when the bundle's card has none.
        """
        if self.card.threshold is None:
            raise GoodnoiseError(
                Code.CORRUPT, f"the bundle states no threshold for {self.name}; run 'goodnoise update'"
            )
        value = self.card.threshold.value
        return value if self.card.metric == "cosine" else -value

    def embed(self, faces: Floats) -> Floats:
        """Embeddings, float32 N D, of aligned faces, float32 N 3 S S in [0,1]."""
        inputs = {"face": faces}
        if self.role == "surrogate":
            count = len(faces)
            inputs["anchors"] = np.zeros((count, 1, self.card.embedding), np.float32)
            inputs["weights"] = np.zeros((count, 1), np.float32)
        result: Floats = self.session.run(["embedding"], inputs)[0]
        return result

    def similarity(self, embeddings: Floats, anchors: Floats) -> Floats:
        """Similarity of each embedding (N D) to each anchor (K D), shape N K; larger is more alike.

        Cosine, or minus the Euclidean distance where the card says so.
        """
        if self.card.metric == "euclidean":
            return np.asarray(-np.linalg.norm(embeddings[:, None] - anchors[None], axis=2), np.float32)
        result: Floats = _unit(embeddings) @ _unit(anchors).T
        return result


@dataclass(frozen=True)
class GradientOracle:
    """The oracle over a surrogate's gradient graph: cosine to several anchors.

    `anchors` is float32 N K D and `weights` float32 N K, a negative weight for what the attack moves away
    from; rows are in the order of the images that the oracle is called with.
    """

    surrogate: Recogniser
    anchors: Floats
    weights: Floats

    def __call__(self, images: Floats, keys: Keys, /) -> LossGradient:
        """Loss (N) and its gradient (N 3 S S) at images float32 N 3 S S in [0,1]."""
        repeat = len(images) // len(self.anchors)
        anchors = np.repeat(self.anchors, repeat, axis=0) if repeat > 1 else self.anchors
        weights = np.repeat(self.weights, repeat, axis=0) if repeat > 1 else self.weights
        inputs: Mapping[str, Floats] = {"face": images, "anchors": anchors, "weights": weights}
        loss, gradient = self.surrogate.session.run(["loss", "gradient"], inputs)
        return LossGradient(loss, gradient)


def load_recogniser(member: Member, graph: bytes, *, threads: int = 0) -> Recogniser:
    """Start a session for one member of a bundle.

    Args:
        member: role, card and margin.
        graph: the ONNX file.
        threads: threads for one call; 0 for as many as there are cores.

    Raises:
        GoodnoiseError: CORRUPT when ONNX Runtime refuses the graph, or when it is another graph than the role
            and the card say.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads or os.cpu_count() or 1
    options.log_severity_level = 3
    # Threads that wait by spinning cost several times as much where the cores are shared.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises unrelated types for a bad graph
        raise GoodnoiseError(
            Code.CORRUPT,
            f"the graph of {member.card.name} cannot be loaded; run 'goodnoise update' to fetch it again",
        ) from error
    _check_graph(member, session)
    return Recogniser(member.card, member.role, member.margin, session)


def _check_graph(member: Member, session: ort.InferenceSession) -> None:
    """Refuse a graph that would fail, or answer something else, at the first photo."""
    wanted = _GRAPHS["surrogate" if member.role == "surrogate" else "checker"]
    names = ({i.name for i in session.get_inputs()}, {o.name for o in session.get_outputs()})
    size = next((o.shape[-1] for o in session.get_outputs() if o.name == "embedding" and o.shape), None)
    if names != wanted or (isinstance(size, int) and size != member.card.embedding):
        shown = [", ".join(sorted(group)) for group in names]
        raise GoodnoiseError(
            Code.CORRUPT,
            f"the graph of {member.card.name} takes {shown[0]} and gives {shown[1]} (embedding of {size}), "
            f"which is no {member.role} of embedding {member.card.embedding}; run 'goodnoise update', or "
            "tell the cloud's operator",
        )


def _unit(vectors: Floats) -> Floats:
    norms = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.maximum(norms, np.float32(1e-12)), np.float32)
