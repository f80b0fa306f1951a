"""The table of backward rules: one for each operator."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import onnx

from models.gradients import (
    rules_activation,
    rules_conv,
    rules_elementwise,
    rules_matmul,
    rules_norm,
    rules_reduce,
    rules_shape,
)
from models.gradients.context import Context
from models.gradients.graph import unsupported

__all__ = ["FLAT", "RULES", "SUPPORTED", "Rule", "rule_for"]

# Emits the gradients of a node's inputs from those of its outputs.
Rule = Callable[[onnx.NodeProto, Context], None]

RULES: Mapping[str, Rule] = MappingProxyType(
    rules_activation.RULES
    | rules_conv.RULES
    | rules_elementwise.RULES
    | rules_matmul.RULES
    | rules_norm.RULES
    | rules_reduce.RULES
    | rules_shape.RULES
)

# Piecewise constant, or about shapes: no gradient passes.
FLAT = frozenset(
    (
        *(
            "And",
            "ArgMax",
            "ArgMin",
            "Ceil",
            "ConstantOfShape",
            "Equal",
            "Floor",
            "Greater",
            "GreaterOrEqual",
        ),
        *("IsInf", "IsNaN", "Less", "LessOrEqual", "NonZero", "Not", "Or", "Range", "Round", "Shape", "Sign"),
        *("Size", "Xor"),
    )
)

# Gelu and PRelu are rewritten in terms of the table before the reverse pass.
SUPPORTED: tuple[str, ...] = tuple(sorted({*RULES, *FLAT, "Gelu", "PRelu"}))


def rule_for(node: onnx.NodeProto) -> Rule:
    """The rule of a node's operator.

    Raises:
        GoodnoiseError: INVALID_INPUT naming operator, node and what is supported.
    """
    if node.domain in ("", "ai.onnx") and node.op_type in RULES:
        return RULES[node.op_type]
    origin = f" of domain {node.domain!r}" if node.domain not in ("", "ai.onnx") else ""
    raise unsupported(node, f"no backward rule{origin}; operators with one: {', '.join(SUPPORTED)}")
