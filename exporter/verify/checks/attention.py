"""This module checks attention: its weights, their gradients, and the maps made of them.

Gradients are compared with finite differences of the source's graph, those of LeGrad with
differences of the score that the head gives a block's own tokens. Maps are compared with the
runtime's formulas of these tensors.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np
import onnx_ir as ir

from ....runtime.methods import attention_flow as flow
from ....runtime.methods.attention_maps import maps_of, on_grid
from ....runtime.methods.numpy_operations import NUMPY
from ....runtime.session.session import defaults_of
from ....runtime.spec import Layer
from ....runtime.spec.attention import Attention, AttentionBlock
from ...errors import VerificationError
from ...graph.open_file import open_file
from ...locate.attention import product_after
from ..float64.differences import Differences, Gradient, compare_all
from ..float64.head import Float64Head
from ..float64.head_gradients import attempted, differences_at, finding_of
from ..float64.score_function import score_of
from ..float64.values import values_of
from ..runs.artifact import Artifact
from ..runs.matrix import FirstRun, Matrix, first_run
from ..runs.running import Array, Tensors
from ..verdict.compare import relative_errors
from ..verdict.deadline import Deadline
from ..verdict.effort import Effort
from ..verdict.findings import Finding, InputKind, measured
from .map_errors import Near, map_errors

_RUN = Matrix(("all",), (2,), (2,))
_FORWARD = 1e-4  # of weights, which the artifact's optimised graph rounds otherwise


def check_attention(
    artifact: Artifact, model: ir.Model, feeds: Tensors, bound: float, kind: InputKind,
    effort: Effort,
) -> list[Finding]:  # fmt: skip
    """Check everything that an artifact says of attention.

    Args:
        artifact: The artifact.
        model: The graph that values and differences are taken from.
        feeds: The model's own inputs, for two images or the artifact's own batch.
        bound: The largest error of a gradient.
        kind: Of the inputs.
        effort: When to end, and whether to go on after a failure.
    """
    attention = artifact.spec.attention
    assert attention is not None
    effort.progress("verify attention")
    run = _Run(artifact, model, first_run(artifact, feeds, _RUN, 0), attention)
    found = [_check_weights(run)]
    if effort.decided(found):
        return found
    if run.gradients:
        found.append(_check_gradients(run, bound, kind, effort))
    if "legrad" in run.methods:
        found.append(_check_legrad(run, bound, kind, effort))
    return found if effort.decided(found) else [*found, *_check_maps(run, bound)]


@dataclass
class _Run:
    """One run of an artifact, with the tensors inside it."""

    artifact: Artifact
    model: ir.Model
    first: FirstRun
    attention: Attention

    @property
    def methods(self) -> Mapping[str, str]:
        return self.attention.methods or {}

    @cached_property
    def whole(self) -> ir.Model:
        """The artifact's graph; what selects classes has no default in it."""
        model = open_file(self.artifact.path, VerificationError)
        for value in model.graph.inputs:
            if value.name in self.artifact.request(self.first.selected):
                model.graph.initializers.pop(value.name or "", None)
                value.const_value = None
        return model

    @cached_property
    def weights(self) -> dict[str, Array]:
        """Weights by block, from the source's graph."""
        names = [block.value for block in self.attention.blocks]
        got = values_of(self.artifact, self.model, self.first.source, names)
        return {block.name: got[block.value] for block in self.attention.blocks}

    @cached_property
    def gradients(self) -> dict[str, Array]:
        """Their gradients by block, [N, K, ...], outputs or not."""
        names = {block.name: _gradients_of(block) for block in self.attention.blocks}
        return {block: self._inner[name] for block, name in names.items() if name in self._inner}

    def legrad(self, block: AttentionBlock) -> Array:
        """The gradients that LeGrad takes of a block, [N, K, ...].

        Raises:
            VerificationError: The artifact does not have them.
        """
        name = f"legrad.{block.name}"
        if name not in self._inner:
            raise VerificationError(f"the artifact has no value {name!r}")
        return np.swapaxes(self._inner[name], 0, 1)

    @cached_property
    def _inner(self) -> Tensors:
        """The gradients that the artifact's graph has, by name, of one run for all."""
        blocks = self.attention.blocks
        names = [_gradients_of(block) for block in blocks]
        names += [f"legrad.{block.name}" for block in blocks]
        known = ir.convenience.create_value_mapping(self.whole.graph, include_subgraphs=False)
        results = self.first.results
        inside = [name for name in names if name in known and name not in results]
        ranks = {one.name: len(one.shape) for one in self.artifact.ports[0]}
        asked = self.artifact.request(self.first.selected)
        fed = {**defaults_of(self.artifact.spec, ranks), **self.first.feeds, **asked}
        shown = {name: results[name] for name in names if name in results}
        return shown | values_of(self.artifact, self.whole, fed, inside)

    def of_one(self, name: str, gradients: Array) -> FirstRun:
        """The run's first image and class, with gradients under a name."""
        first = self.first
        results = {key: value[:1] for key, value in first.results.items() if value.ndim}
        return replace(
            first, source=_rows(self.artifact, first.source),
            feeds=_rows(self.artifact, first.feeds),
            results={**results, name: gradients[:1, :1]}, selected=first.selected[:1, :1],
            region=None,  # attention is compared for the sum over all positions
        )  # fmt: skip


def _gradients_of(block: AttentionBlock) -> str:
    """The name of the gradients of a block's weights, which may be no output."""
    return block.gradients or f"attention_gradients.{block.name}"


def _rows(artifact: Artifact, feeds: Tensors) -> Tensors:
    return {n: value[:1] if n in artifact.batched else value for n, value in feeds.items()}


def _check_weights(run: _Run) -> Finding:
    worst, subject = 0.0, "attention"
    for block in run.attention.blocks:
        truth = run.weights[block.name]
        if block.weights is not None:
            error = float(relative_errors(run.first.results[block.weights], truth).max(initial=0.0))
            worst, subject = max((worst, subject), (error, block.weights))
    names = [
        name
        for block in run.attention.blocks
        for name in (block.queries, block.keys, block.values)
        if name is not None
    ]
    if names:
        own = {name: run.first.results[name] for name in names}
        plain = values_of(run.artifact, run.whole, run.first.feeds, names)
        for name, value in own.items():
            error = float(relative_errors(value, plain[name]).max(initial=0.0))
            worst, subject = max((worst, subject), (error, name))
    return measured("activations", subject, worst, _FORWARD, f"error {worst:.1e}")


def _check_gradients(run: _Run, bound: float, kind: InputKind, effort: Effort) -> Finding:
    """Compare gradients of weights with differences, the first block before the last."""
    found, doubt, generator = Differences(), "", np.random.default_rng(0)
    asked = list(_asked(run))
    for number, (layer, gradients) in enumerate(asked):
        share = effort.deadline.share(2 if number == 0 else len(asked) - number)
        first = run.of_one(layer.gradients, gradients)
        more, off = differences_at(run.artifact, run.model, first, layer, bound, generator, share)
        found, doubt = found | more, doubt or off
    return finding_of(found, "attention_gradients", bound, kind, run.artifact.level, doubt)


def _asked(run: _Run) -> Iterator[tuple[Layer, Array]]:
    """Every tensor with a gradient as a layer: the earliest, then the others from the last on."""
    blocks = [one for one in run.attention.blocks if one.name in run.gradients]
    for block in [*blocks[:1], *reversed(blocks[1:])]:
        yield _as_layer(block.value, block.weights or ""), run.gradients[block.name]
    for block in run.attention.blocks:
        if block.result_gradients is not None:
            product = _product_behind(run.model.graph, block.value)
            yield _as_layer(product, ""), run.first.results[block.result_gradients]


def _as_layer(value: str, output: str) -> Layer:
    return Layer(value, value, "channels_first", [], 0, "", output, f"gradients of {value}")


def _product_behind(graph: ir.Graph, weights: str) -> str:
    """The value that multiplies weights and values."""
    value = ir.convenience.create_value_mapping(graph, include_subgraphs=False)[weights]
    product, _ = product_after(value)
    assert product is not None
    return product.outputs[0].name or ""


def _check_legrad(run: _Run, bound: float, kind: InputKind, effort: Effort) -> Finding:
    """Compare the gradients of each block's own score with differences."""
    found, generator = Differences(), np.random.default_rng(0)
    asked = [
        (block, part) for block in reversed(run.attention.chain) for part in _parts(run, block)
    ]
    for number, (block, (collector, gradients)) in enumerate(asked):
        share = effort.deadline.share(len(asked) - number)
        first = run.of_one("legrad", gradients)

        def compare(
            block: AttentionBlock = block,
            collector: AttentionBlock | None = collector,
            first: FirstRun = first,
            share: Deadline = share,
        ) -> tuple[Differences, str]:
            own = _OwnScore(run, block, collector, first)
            own.bound_by(share)
            one = Gradient(
                own, own.start[0], first.results["legrad"][0, 0].astype(np.float64),
                _as_layer(block.value, ""),
            )  # fmt: skip
            return compare_all(iter([one]), 1, generator, share), ""

        more, _ = attempted(compare, 1, share)
        found = found | more
    return finding_of(found, "legrad", bound, kind, run.artifact.level)


def _parts(run: _Run, block: AttentionBlock) -> Iterator[tuple[AttentionBlock | None, Array]]:
    """LeGrad's gradients of a block, those of each collector apart; None: of its own weights."""
    whole, first = run.legrad(block), 0
    for collector in run.attention.collectors or [None]:
        heads = whole.shape[2] if collector is None else run.weights[collector.name].shape[1]
        yield collector, whole[:, :, first : first + heads]
        first += heads


class _OwnScore:
    """The score that the head gives the tokens behind a block, as a function of its weights.

    Attributes:
        start: The weights, [1, ...]; with a collector those by which it collects these tokens.
        head: What is evaluated.
    """

    def __init__(
        self, run: _Run, block: AttentionBlock, collector: AttentionBlock | None, first: FirstRun
    ) -> None:
        model, record = run.model, run.artifact.spec.score
        end, folder = run.attention.chain[-1].tokens or "", run.artifact.path.parent
        got = values_of(run.artifact, model, first.source, [block.value, block.tokens or ""])
        self._record, self._selected, self._region = record, *first.doubled
        tail = _tail(model, end, record.value, [*first.source])
        self._axis = int(got[block.value].shape[-1] != got[block.tokens or ""].shape[0])
        fed = {**first.source, end: got[block.tokens or ""]}
        self._tail: Float64Head | None = None
        if collector is not None:
            self.start = values_of(run.artifact, tail, fed, [collector.value])[collector.value]
            self.head = Float64Head(tail, collector.value, record.value, fed, folder)
        else:
            self.start = got[block.value]
            self.head = Float64Head(model, block.value, block.tokens or "", first.source, folder)
            self._tail = Float64Head(tail, end, record.value, fed, folder)
        self.start = self.start.astype(np.float64)

    def bound_by(self, deadline: Deadline) -> None:
        """Let every evaluation end in time."""
        for head in (self.head, self._tail):
            if head is not None:
                head.deadline = deadline

    def __call__(self, weights: Array) -> float:
        value = self.head(weights[None])
        if self._tail is not None:
            mean = value.mean(axis=self._axis, keepdims=True)
            value = self._tail(np.broadcast_to(mean, value.shape).copy())
        region = None if self._region is None else self._region[0, 0]
        return score_of(self._record, value[0], self._selected[0, 0], region)


def _tail(model: ir.Model, start: str, end: str, inputs: Sequence[str]) -> ir.Model:
    """The part of a graph from a value, which becomes an input, to another."""
    kept = [value for value in model.graph.inputs if value.name in inputs]
    graph = ir.convenience.extract(model.graph, [*kept, start], [end])
    return ir.Model(graph, ir_version=model.ir_version)


def _check_maps(run: _Run, bound: float) -> list[Finding]:
    """Compare the maps in the graph with the formulas."""
    generator, found = np.random.default_rng(0), list[Finding]()
    for method, name in run.methods.items():
        actual = run.first.results[name]
        formula = partial(_map, run, method, actual.shape[1])
        maps = map_errors(actual, formula, bound, generator)
        error, allowed = float(maps.errors[maps.worst]), float(maps.allowed[maps.worst])
        reason = f"it is not what the formula makes of its tensors: error {error:.1e}"
        found.append(measured("heatmap", name, error, allowed, reason))
    return found


def _map(run: _Run, method: str, classes: int, near: Near) -> Array:
    if method == "legrad":
        rows = flow.legrad(NUMPY, [near(run.legrad(block)) for block in run.attention.chain])
        return on_grid(run.attention, rows[:, :, run.attention.own_keys :])
    named = replace(
        run.attention,
        blocks=[
            replace(one, weights=f"weights of {one.name}", gradients=f"gradients of {one.name}")
            for one in run.attention.blocks
        ],
    )
    tensors = {f"weights of {name}": near(value) for name, value in run.weights.items()}
    tensors |= {f"gradients of {name}": near(value) for name, value in run.gradients.items()}
    tensors |= {
        name: near(run.first.results[name])
        for block in run.attention.blocks
        for name in (block.queries, block.keys, block.values, block.result_gradients)
        if name is not None
    }
    maps = maps_of(named, method, tensors, classes)
    return np.repeat(maps, classes, axis=1) if maps.shape[1] == 1 else maps
