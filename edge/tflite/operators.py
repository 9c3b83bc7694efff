"""The operators of a model's graph, and which of them delegates run."""

from __future__ import annotations

from dataclasses import dataclass

DELEGATE = "DELEGATE"
"""The name of an operator that stands for a part of the graph which a delegate runs."""


@dataclass(frozen=True)
class Operator:
    """An operator of a model's graph.

    Attributes:
        name: Its TFLite name, such as CONV_2D.
        inputs: Indices of the tensors that it reads.
        outputs: Indices of the tensors that it writes.
    """

    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def parts_of(operators: list[Operator]) -> list[Operator]:
    """What delegates run, each part of the graph as one operator: an external delegate's first, then XNNPACK's."""
    return [operator for operator in operators if operator.name == DELEGATE]


def count_covered(operators: list[Operator], parts: list[Operator]) -> int:
    """Count the operators that some parts of a graph replace.

    The runtime lists the replaced operators with the others. A part covers those on the way back from its outputs to
    its inputs.

    Args:
        operators: All operators of the graph.
        parts: Those of them that stand for a part.

    Returns:
        The number of operators.
    """
    producers = {tensor: each for each in operators if each.name != DELEGATE for tensor in each.outputs}
    covered = set()
    for part in parts:
        pending = [*part.outputs]
        while pending:
            operator = producers.get(pending.pop())
            if operator is not None and operator.outputs not in covered:
                covered.add(operator.outputs)
                pending += [tensor for tensor in operator.inputs if tensor not in part.inputs]
    return len(covered)
