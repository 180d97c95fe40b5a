"""`entry_parts` tells what makes the entries of an axis: boxes, probabilities and the rest."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

import onnx_ir as ir

from ....graph.emitter import dims_of
from .entry_steps import step_back

_DEPTH = 80  # nodes that are followed behind a value
_ACTIVATIONS = frozenset({"Sigmoid", "HardSigmoid", "Softmax", "LogSoftmax"})
_MOST_ENTRIES = 1 << 20  # of an axis; a box has a few hundred, a level some ten thousand places
_MOST_LEVELS = 1000  # sources that stand one after the other; detectors have five


@dataclass(frozen=True)
class Part:
    """Consecutive entries of one origin.

    Attributes:
        first: The first entry.
        count: Number of entries.
        activation: The operator that makes probabilities of them: ``Sigmoid`` or ``Softmax``; or
            an empty string.
        sources: What computes them, one value for each level.
        start: The first of them in its source.
        objectness: Sources of the probability that they are multiplied with, if they are.
    """

    first: int
    count: int
    activation: str
    sources: tuple[ir.Value, ...]
    start: int
    objectness: tuple[ir.Value, ...] = ()

    @property
    def end(self) -> int:
        """The entry after the last one."""
        return self.first + self.count


@dataclass(frozen=True)
class _Origin:
    activation: str
    sources: tuple[ir.Value, ...]
    entry: int
    objectness: tuple[ir.Value, ...] = ()


_Known: TypeAlias = dict[tuple[ir.Value, int], list[_Origin]]


def entry_parts(value: ir.Value, axis: int) -> list[Part]:
    """Return the parts of an axis in order; none where its extent is open."""
    origins = _origins(value, axis, _DEPTH, {})
    if not origins:
        return []
    starts = [0]
    for place, (one, next_one) in enumerate(pairwise(origins)):
        same = (one.activation, one.sources, one.objectness, one.entry + 1)
        found = (next_one.activation, next_one.sources, next_one.objectness, next_one.entry)
        if same != found:
            starts.append(place + 1)
    return [
        Part(first, end - first, origins[first].activation, origins[first].sources,
             origins[first].entry, origins[first].objectness)
        for first, end in pairwise([*starts, len(origins)])
    ]  # fmt: skip


def _origins(value: ir.Value, axis: int, depth: int, known: _Known) -> list[_Origin]:
    """The origin of each entry; each value is read once, however many ways lead to it."""
    if (value, axis) not in known:
        known[value, axis] = _read(value, axis, depth, known)
    return known[value, axis]


def _read(value: ir.Value, axis: int, depth: int, known: _Known) -> list[_Origin]:
    extent = dims_of(value)[axis]
    if not isinstance(extent, int) or extent > _MOST_ENTRIES:
        return []
    node, step = value.producer(), step_back(value, axis)
    activation = node.op_type if node is not None and node.op_type in _ACTIVATIONS else ""
    computed = [_Origin(activation, (value,), entry) for entry in range(extent)]
    if step is None or not depth:
        return computed
    inner = [_origins(one, step.axis, depth - 1, known) for one in step.inputs]
    if not all(inner):
        return computed
    if step.kind == "joined":
        joined = [origin for part in inner for origin in part]
        return joined if len(joined) == extent else computed
    if step.kind == "stacked":
        return [_stacked(list(level), value, entry) for entry, level in
                enumerate(zip(*inner, strict=False))]  # fmt: skip
    if step.kind == "product":
        many, (single,) = inner
        if not single.activation or not all(one.activation for one in many):
            return computed
        return [_Origin(one.activation, one.sources, one.entry, single.sources) for one in many]
    moved = inner[0][step.start : step.start + extent]
    return moved if len(moved) == extent else computed


def _stacked(levels: list[_Origin], value: ir.Value, entry: int) -> _Origin:
    """The origin of an entry that levels stand one after the other for."""
    first = levels[0]
    alike = all((one.activation, one.entry) == (first.activation, first.entry) for one in levels)
    if not alike or sum(len(one.sources) for one in levels) > _MOST_LEVELS:
        return _Origin("", (value,), entry)
    sources = tuple(source for one in levels for source in one.sources)
    objectness = tuple(source for one in levels for source in one.objectness)
    return _Origin(first.activation, sources, first.entry, objectness)
