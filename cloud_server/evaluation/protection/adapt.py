"""An adaptive recogniser: a network of the zoo that learns on cloaks of other people to see through them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from cloud_server.evaluation.protection.cloaks import Cloaked
from cloud_server.evaluation.protection.recognisers import Recogniser
from models.torch_graph import TorchGraph
from models.torch_oracle import frozen
from models.verification import measure_threshold
from shared.errors import Code, GoodnoiseError
from shared.faces.frames import FRAMES

__all__ = ["FAR", "Adapted", "adapt", "as_recogniser", "embed_all", "restored"]

Floats = npt.NDArray[np.float32]

FAR = 1e-3
_BATCH, _RATE, _SCALE = 16, 1e-4, 16.0


@dataclass(frozen=True, eq=False)
class Adapted:
    """The network before and after, and how near cloaked faces came to the clean embedding by the frozen one.

    Cosines are means over the training photos.
    """

    original: nn.Module
    network: nn.Module
    cosine_before: float
    cosine_after: float

    def state(self) -> dict[str, Any]:
        """For `restored`."""
        return {"weights": self.network.state_dict(), "cosines": [self.cosine_before, self.cosine_after]}


def restored(content: bytes, state: dict[str, Any]) -> Adapted:
    """What `adapt` made of a network of the zoo before."""
    network = TorchGraph(content)
    network.load_state_dict(state["weights"])
    return Adapted(frozen(TorchGraph(content)), frozen(network), *state["cosines"])


def adapt(
    content: bytes, cloaks: Sequence[Cloaked], *, steps: int, seed: int, progress: Callable[[int, int], None]
) -> Adapted:
    """Fine-tune so that clean and cloaked photos of a person agree.

    Three terms, with the frozen original's embeddings of the clean photos as targets: one minus the cosine of
    the cloaked photo's embedding to its target, the same of the clean photo's, and cross entropy of whose
    target in the batch it is (scale 16), which keeps people apart.

    Args:
        content: the zoo's forward graph, in the frame 'arcface112'.
        cloaks: of several people.
        steps: batches of 16 photos of different people.
        seed: of the batches.
        progress: told steps done and all.

    Raises:
        GoodnoiseError: PRECONDITION for fewer than two people.
    """
    people = sorted({cloak.person for cloak in cloaks})
    if len(people) < 2:
        raise GoodnoiseError(Code.PRECONDITION, "one person is too few to adapt on; ask for more photos")
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    original, network = frozen(TorchGraph(content)), TorchGraph(content)
    targets = torch.from_numpy(embed_all(original, np.stack([cloak.clean for cloak in cloaks])))
    optimiser = torch.optim.Adam(network.parameters(), lr=_RATE)
    before = _agreement(original, cloaks, targets)
    for step in range(steps):
        rows = _different_people(cloaks, people, rng)
        loss = _loss(network, *_batch(cloaks, rows, rng), targets[rows])
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        progress(step + 1, steps)
    network.eval().requires_grad_(requires_grad=False)
    return Adapted(original, network, before, _agreement(network, cloaks, targets))


def _different_people(
    cloaks: Sequence[Cloaked], people: Sequence[str], rng: np.random.Generator
) -> npt.NDArray[np.intp]:
    chosen = rng.permutation(len(people))[:_BATCH]
    by_person: dict[str, list[int]] = {}
    for index, cloak in enumerate(cloaks):
        by_person.setdefault(cloak.person, []).append(index)
    return np.array([rng.choice(by_person[people[i]]) for i in chosen], np.intp)


def _batch(
    cloaks: Sequence[Cloaked], rows: npt.NDArray[np.intp], rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Clean and cloaked faces, each N 3 112 112; the cloaked ones as saved or as shared, half mirrored."""
    clean = np.stack([cloaks[i].clean for i in rows])
    cloaked = np.stack([cloaks[i].cloaked[rng.integers(len(cloaks[i].cloaked))] for i in rows])
    mirrored = rng.integers(0, 2, len(rows)).astype(bool)
    clean[mirrored], cloaked[mirrored] = clean[mirrored][..., ::-1], cloaked[mirrored][..., ::-1]
    return torch.from_numpy(clean), torch.from_numpy(cloaked)


def _loss(network: nn.Module, clean: Tensor, cloaked: Tensor, targets: Tensor) -> Tensor:
    found = functional.normalize(network(torch.cat([clean, cloaked])), dim=1)
    wanted = functional.normalize(targets, dim=1)
    cosines = found @ wanted.T
    own = torch.arange(len(targets)).repeat(2)
    near = 1 - cosines[torch.arange(len(found)), own]
    return near.mean() + functional.cross_entropy(_SCALE * cosines, own)


def _agreement(network: nn.Module, cloaks: Sequence[Cloaked], targets: Tensor) -> float:
    found = torch.from_numpy(embed_all(network, np.stack([cloak.cloaked[-1] for cloak in cloaks])))
    return float(functional.cosine_similarity(found, targets).mean())


def embed_all(network: nn.Module, faces: Floats) -> Floats:
    """Unit embeddings, float32 N D, of faces N 3 112 112."""
    with torch.no_grad():
        parts = [network(torch.from_numpy(faces[i : i + 32])) for i in range(0, len(faces), 32)]
        return np.asarray(functional.normalize(torch.cat(parts), dim=1).numpy(), np.float32)


def as_recogniser(name: str, network: nn.Module, faces: Floats, people: Sequence[str]) -> Recogniser:
    """A network as a recogniser, with its threshold at FAR 1e-3 over people it was not trained on.

    Raises:
        GoodnoiseError: PRECONDITION when there are too few pairs of different people.
    """
    threshold = measure_threshold(embed_all(network, faces), people, "cosine", far=FAR, data="held out")
    return Recogniser(
        name, FRAMES["arcface112"], "cosine", threshold.value, lambda face: embed_all(network, face)
    )
