"""Readers of the zoo as torch modules with gradients, in the classes of an alphabet."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from models.store import Store
from models.text.lean import latin, lean
from models.text.networks import TextOutput
from models.text.reading import stored_reader
from models.text.vocabulary import Classes, characters_in, fitting, greedy
from models.torch_graph import TorchGraph
from models.torch_oracle import frozen
from shared.cards import TextInput

__all__ = ["TextNet", "load_text_net"]

# Added to a log-probability that shall not count. Not minus infinity, whose gradients are no numbers.
_NONE = -1e9


class TextNet(nn.Module):
    """A reader of the zoo that takes any image and speaks of an alphabet.

    It is called like the readers of `models.text.networks`, gives their `columns`, and has one class more,
    the last: characters outside the alphabet.

    Args:
        network: images N 1 H' W' of its own size to log-probabilities N T C' of its own classes.
        text: what it takes.
        classes: of the alphabet.
    """

    def __init__(self, network: nn.Module, text: TextInput, classes: Classes) -> None:
        super().__init__()
        self.network, self.text, self.classes = network, text, classes
        members, spare, known = _members(classes)
        self.register_buffer("_members", members, persistent=False)
        self.register_buffer("_spare", spare, persistent=False)
        self.register_buffer("_known", known, persistent=False)

    def forward(self, images: Tensor) -> TextOutput:
        """Images N 1 H W, grey in [0,1], of any size, to `columns`."""
        return TextOutput(columns=self.log_probs(images))

    def log_probs(self, images: Tensor) -> Tensor:
        """Log-probabilities N T C for CTC of images N 1 H W, grey in [0,1], of any size.

        Class 0 is blank, 1 + i character i of the alphabet in either case, the last any other character.

        Raises:
            ValueError: when the images are not grey.
        """
        if images.ndim != 4 or images.shape[1] != 1:
            raise ValueError(f"images have shape {tuple(images.shape)}, expected N 1 H W")
        matrices = fitting(images.shape[2], images.shape[3], self.text)
        rows, columns = (torch.from_numpy(matrix).to(images) for matrix in matrices)
        own = self.network(rows @ images @ columns.T)
        members, spare, known = (self.get_buffer(name) for name in ("_members", "_spare", "_known"))
        named = (own[..., members] + spare).logsumexp(dim=-1)
        # Thousands of classes: the rest is what is left when the named ones are pressed down, not picked.
        other = (own + known).logsumexp(dim=-1, keepdim=True)
        return torch.cat([named, other], dim=-1)

    def decode(self, log_probs: Tensor) -> list[str]:
        """The greedy reading of log-probabilities N T C, '?' for characters outside the alphabet."""
        best = log_probs.detach().argmax(dim=-1).cpu().numpy()
        return [self.classes.text(path) for path in greedy(best, blank=0)]


def _members(classes: Classes) -> tuple[Tensor, Tensor, Tensor]:
    """Own classes of each named class, K M; what presses down where one has fewer, K M; and all named, C'."""
    groups = [np.flatnonzero(classes.targets == place) for place in range(classes.count - 1)]
    most = max(len(group) for group in groups)
    members = np.stack([np.resize(group, most) for group in groups])
    spare = np.stack([np.where(np.arange(most) < len(group), 0.0, _NONE) for group in groups])
    known = np.where(classes.targets < classes.count - 1, _NONE, 0.0)
    return (
        torch.from_numpy(members),
        torch.from_numpy(spare.astype(np.float32)),
        torch.from_numpy(known.astype(np.float32)),
    )


def load_text_net(
    name: str, alphabet: str, store: Store | None = None, *, latin_only: bool = False
) -> TextNet:
    """A reader of the zoo in evaluation mode, without gradients for its weights.

    Args:
        name: a card of kind 'text'.
        alphabet: characters, in the order of classes 1 and up.
        store: where it lies; the user's own folder by default.
        latin_only: as if the reader knew printable ASCII alone, which is what an attacker tells it; a reader
            of thousands of classes costs a third then.

    Raises:
        GoodnoiseError: NOT_FOUND for an unknown name, INVALID_INPUT for what is no reader, PRECONDITION for
            one that was not fetched, CORRUPT for a file that does not say what its classes are.
        ValueError: when the alphabet has characters that the reader does not know.
    """
    _, text, content = stored_reader(name, store)
    characters = characters_in(content, source=f"{name}.onnx")
    keep = latin(characters) if latin_only else range(len(characters))
    classes = Classes(tuple(characters[k] for k in keep), alphabet)
    net = TextNet(TorchGraph(lean(content, keep if latin_only else None)), text, classes)
    frozen(net)
    # A fifth faster on a CPU than planes first.
    return net.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]
