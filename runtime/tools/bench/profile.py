"""A `Profile` holds the time and the shapes of each node of a run, as ONNX Runtime measured it."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any, Literal

ADDED = "grad/"
# Nodes that ONNX Runtime inserts, for its blocked layout and between devices.
MOVES = frozenset({"ReorderInput", "ReorderOutput", "MemcpyFromHost", "MemcpyToHost"})

Owner = Literal["model", "added", "moves"]


@dataclass(frozen=True)
class Tensor:
    """Type, as ONNX Runtime's profile names it, and shape of a tensor."""

    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Call:
    """The tensors of one call of a node.

    Attributes:
        inputs: Its inputs; weights that ONNX Runtime has packed are missing.
        outputs: Its outputs.
    """

    inputs: list[Tensor]
    outputs: list[Tensor]


@dataclass(frozen=True)
class NodeTime:
    """A node of the graph as ONNX Runtime optimised it.

    Attributes:
        name: Its name; a fused node has the name of one of its parts.
        operator: Its operator.
        ms: Milliseconds in a run, without the nodes inside it.
        provider: The execution provider that ran it.
        place: Its place, or that of the node that holds it (If, Loop), in the order of the run;
            None: unknown.
        held: Whether another node holds it.
        calls: Its calls in the last run; None: this ONNX Runtime records no shapes.
    """

    name: str
    operator: str
    ms: float
    provider: str
    place: int | None = None
    held: bool = False
    calls: list[Call] | None = None

    @property
    def owner(self) -> Owner:
        """Origin: the model, the explanation, or ONNX Runtime (copies between layouts)."""
        if self.operator in MOVES:
            return "moves"
        return "added" if self.name.startswith(ADDED) else "model"


@dataclass(frozen=True)
class Profile:
    """The times of a run.

    Attributes:
        nodes: All nodes, in the order in which they run.
    """

    nodes: list[NodeTime]

    def of(self, owner: Owner) -> list[NodeTime]:
        """Return the nodes of ``owner``, the most expensive first."""
        return sorted((n for n in self.nodes if n.owner == owner), key=lambda node: -node.ms)

    def operators(self, owner: Owner) -> list[tuple[str, int, float]]:
        """Return operator, number of nodes and milliseconds, the most expensive first."""
        grouped: dict[str, list[float]] = defaultdict(list)
        for node in self.of(owner):
            grouped[node.operator].append(node.ms)
        rows = [(operator, len(times), sum(times)) for operator, times in grouped.items()]
        return sorted(rows, key=lambda row: -row[2])

    def to_dict(self) -> dict[str, Any]:
        """Return sums by owner, added operators and added nodes, as plain JSON types."""
        owners: tuple[Owner, ...] = ("model", "added", "moves")
        sums = {
            owner: {"nodes": len(self.of(owner)), "ms": sum(node.ms for node in self.of(owner))}
            for owner in owners
        }
        operators = [
            {"operator": operator, "nodes": count, "ms": ms}
            for operator, count, ms in self.operators("added")
        ]
        nodes = [
            {"name": node.name, "operator": node.operator, "ms": node.ms, "provider": node.provider}
            for node in self.of("added")
        ]
        return {**sums, "added_operators": operators, "added_nodes": nodes}
