"""From a network of the zoo to the graph that a bundle holds."""

from __future__ import annotations

import onnx

from cloud_server.bundles.profiles import Part
from models.gradients import build_gradient_graph, store_weights
from models.store import Store
from shared.bundle import Role
from shared.cards import Card

__all__ = ["network_object", "object_name"]


def network_object(role: Role, part: Part, card: Card, store: Store) -> bytes:
    """The ONNX file of a member: a gradient graph for a surrogate, the forward graph for others.

    Raises:
        GoodnoiseError: PRECONDITION when the zoo lacks the network; INVALID_INPUT naming an operator that
            reverse mode has no rule for.
    """
    content = store.read(card)
    if role == "detector":
        return content
    graph = onnx.load_from_string(content)
    if role == "surrogate":
        graph = build_gradient_graph(graph, name=card.name)
    return bytes(store_weights(graph, dtype=part.weights).SerializeToString(deterministic=True))


def object_name(role: Role, card: Card) -> str:
    """The member's file in a bundle: lower case, since names of objects are."""
    return f"{role}/{card.name.lower()}.onnx"
