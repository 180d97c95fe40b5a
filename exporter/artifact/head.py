"""This module cuts out heads: a head is the model from a target layer to the score, as an artifact.

Methods that change a layer's activations and read the new score run this part alone. For every
layout of the model, a head takes the activations as the artifact gives them, channel-first. The
artifact also gives the other values that a head reads: those that do not descend from the layer
(the other path around a residual block, the model's own inputs) and the tokens before a grid.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import onnx_ir as ir

from ...runtime import spec as contract
from ...runtime.spec import Layer, Spec
from ..capture.onnx_file import Captured, drop_metadata
from ..errors import LayerError
from ..graph.emitter import Dim, Emitter, dims_of
from ..graph.precision import SINGLE
from ..graph.profiles import Profile
from ..graph.queries import inputs_of
from ..graph.value_range import keep_ends
from ..heatmap.gradcam import publish
from ..locate.score import Located
from .graft import graft


@dataclass(frozen=True)
class Head:
    """A layer's head, with gradients grafted in, ready to be written.

    Attributes:
        model: The graph.
        spec: Its metadata, not verified yet; its target layer is its first input.
        record: Its file, and what its inputs take of the artifact.
    """

    model: ir.Model
    spec: Spec
    record: contract.Head


def add_heads(
    captured: Captured, located: Sequence[Located], spec: Spec, profile: Profile, path: Path,
    limit: float = math.inf,
) -> tuple[Spec, list[Head]]:  # fmt: skip
    """Cut out the head of each target layer; what heads read becomes an output of the artifact.

    Args:
        captured: The model, grafted.
        located: Its score, or those of several outputs.
        spec: The artifact's metadata.
        profile: Where it is to run.
        path: Where it goes; heads go beside it.
        limit: The largest scale of float16 cotangents; see `half_range`.

    Returns:
        The metadata with the heads' names, and the heads.

    Raises:
        LayerError: A layer is the score itself, or one level of a detector.
    """
    if spec.detector is not None:
        raise LayerError(
            "a detector has no heads: its boxes need all levels, and a head reads one layer; leave "
            "'head' out of extras"
        )
    emit = Emitter(captured.model.graph, profile)
    heads: list[Head] = []
    for layer, file in zip(spec.layers, _files(spec.layers, path), strict=True):
        target = captured.targets[layer.name]
        if layer.suffix_tokens:
            raise LayerError(
                f"layer {layer.name!r} has {layer.suffix_tokens} tokens behind its grid, which a "
                "head has no input for; choose a layer before they are joined, or leave 'head' out "
                "of extras"
            )
        if any(target is one.value for one in located):
            raise LayerError(
                f"layer {layer.name!r} is the score itself and has no head; choose an earlier "
                "layer, or leave 'head' out of extras"
            )
        scores = list(dict.fromkeys(one.value for one in located))
        cut = _cut(captured.model, target, scores, layer)
        known = {value.name for value in captured.model.graph.outputs}
        inputs = _inputs(emit, cut, target, layer, many=len(spec.layers) > 1)
        added = [v.name or "" for v in captured.model.graph.outputs if v.name not in known]
        record = contract.Head(file, inputs, added or None)
        heads.append(Head(cut.model, _grafted(cut, located, spec, layer, profile, limit), record))
    layers = [replace(one, head=head.record) for one, head in zip(spec.layers, heads, strict=True)]
    return replace(spec, layers=layers), heads


@dataclass(frozen=True)
class _Cut:
    """A head without gradients.

    Attributes:
        model: The graph.
        activations: Its input, float32 [N, C, *space].
        prefix: Its input of the tokens before the grid, where there are any.
        beside: Its further inputs, each with the value of the whole model that it takes.
    """

    model: ir.Model
    activations: ir.Value
    prefix: ir.Value | None
    beside: list[tuple[ir.Value, ir.Value]]


def _files(layers: Sequence[Layer], path: Path) -> list[str]:
    """Names of the heads' files; a layer's name may contain characters that a file's cannot."""
    if len(layers) == 1:
        return [f"{path.stem}.head.onnx"]
    tags = ["".join(c if c.isalnum() or c in "._-" else "_" for c in one.name) for one in layers]
    if len(set(tags)) < len(tags):
        tags = [f"{number}.{tag}" for number, tag in enumerate(tags)]
    return [f"{path.stem}.head.{tag}.onnx" for tag in tags]


def _cut(model: ir.Model, target: ir.Value, scores: Sequence[ir.Value], layer: Layer) -> _Cut:
    """The graph from the channel-first activations of ``target`` to ``scores``."""
    sources = read_beside(model.graph, target, scores)
    graph = ir.convenience.extract(model.graph, [target, *sources], scores)
    keep_ends(model.graph, graph)
    for name in sorted(graph.initializers):  # unordered, but equal exports give equal files
        graph.initializers[name] = graph.initializers.pop(name)
    given, *others = list(graph.inputs)
    given.name = None  # the new input may have it
    dims, dtype = dims_of(target), target.dtype
    emit = Emitter(graph)
    shape = _channel_first_dims(dims, layer)
    activations = _new_input(graph, 0, emit.unique("activations"), SINGLE, shape)
    prefix = None
    if layer.prefix_tokens:
        tokens = [dims[0], layer.prefix_tokens, dims[2]]
        prefix = _new_input(graph, 1, emit.unique("prefix"), dtype, tokens)
    # A new one: it reads extents such as the batch off the activations.
    emit = Emitter(graph)
    with emit.scope("head"):
        laid = _as_in_model(emit, activations, prefix, layer, dims, dtype)
        ir.convenience.replace_all_uses_with(given, laid)
        for value in others:
            _read_extents(emit, value)
    for value in [given, *(value for value in others if not value.uses())]:
        graph.inputs.remove(value)
    graph.sort()
    drop_metadata(graph)
    pairs = zip(others, sources, strict=True)
    beside = [(value, source) for value, source in pairs if value.uses()]
    return _Cut(ir.Model(graph, ir_version=model.ir_version), activations, prefix, beside)


def read_beside(graph: ir.Graph, target: ir.Value, scores: Sequence[ir.Value]) -> list[ir.Value]:
    """What leads to ``scores`` past ``target``: values that neither depend on it nor are constant.

    What follows from constants and shapes alone is no such value (the head computes it itself, for
    its own batch), but the values whose shapes it reads are.
    """
    dependent, fixed = {target}, set[ir.Value]()
    for node in graph:
        read = list(inputs_of(node))
        if any(value in dependent for value in read):
            dependent.update(node.outputs)
        elif node.op_type in ("Shape", "Size") or all(_is_fixed(value, fixed) for value in read):
            fixed.update(node.outputs)
    found: list[ir.Value] = []
    stack, seen = list(scores), {target}
    while stack:
        value = stack.pop()
        if value in seen or (value.producer() is None and not value.is_graph_input()):
            continue
        seen.add(value)
        producer = value.producer()
        if producer is not None and (value in dependent or value in fixed):
            stack.extend(inputs_of(producer))
        else:
            found.append(value)
    return found


def _is_fixed(value: ir.Value, fixed: set[ir.Value]) -> bool:
    return value in fixed or (value.producer() is None and not value.is_graph_input())


def _new_input(
    graph: ir.Graph, place: int, name: str, dtype: ir.DataType | None, shape: Sequence[Dim]
) -> ir.Value:
    kind = None if dtype is None else ir.TensorType(dtype)
    value = ir.Value(name=name, type=kind, shape=ir.Shape(shape))
    graph.inputs.insert(place, value)
    return value


def _channel_first_dims(dims: Sequence[Dim], layer: Layer) -> list[Dim]:
    if layer.layout == "tokens":
        return [dims[0], dims[2], *layer.grid]
    if layer.layout == "channels_last":
        return [dims[0], dims[-1], *dims[1:-1]]
    return list(dims)


def _as_in_model(
    emit: Emitter, activations: ir.Value, prefix: ir.Value | None, layer: Layer,
    dims: Sequence[Dim], dtype: ir.DataType | None,
) -> ir.Value:  # fmt: skip
    """Channel-first activations as the model lays them out: the inverse of `gradcam.laid_out`."""
    rank = len(dims)
    value = activations if dtype is None else emit.cast(activations, dtype, "activations")
    if layer.layout == "channels_last":
        perm = [0, *range(2, rank), 1]
        return emit.op("Transpose", value, role="channels_last", shape=dims, perm=perm)
    if layer.layout == "tokens":
        count = dims[1] - layer.prefix_tokens if isinstance(dims[1], int) else None
        flat = emit.op("Reshape", value, [0, 0, -1], role="places", shape=[dims[0], dims[2], count])
        placed = [dims[0], count, dims[2]]
        tokens = emit.op("Transpose", flat, role="tokens", shape=placed, perm=[0, 2, 1])
        if prefix is None:
            return tokens
        return emit.op("Concat", prefix, tokens, role="tokens", shape=dims, axis=1)
    return value


def _read_extents(emit: Emitter, value: ir.Value) -> None:
    """Read the extents of ``value`` off the activations, as far as they have the same ones.

    Otherwise a head would need the image only for the number of images.
    """
    if value.shape is None:
        return
    for use in list(value.uses()):
        node = use.node
        if node.op_type == "Shape" and node.graph is emit.graph:
            axes = range(len(dims_of(value)))
            start, end = (
                node.attributes.get_int("start", 0),
                node.attributes.get_int("end", len(axes)),
            )
            extents = emit.extents(value, axes[start:end])
            ir.convenience.replace_all_uses_with(node.outputs[0], extents)
            emit.graph.remove(node, safe=True)


def _inputs(
    emit: Emitter, cut: _Cut, target: ir.Value, layer: Layer, *, many: bool
) -> dict[str, str]:
    """What each input of a head takes of the artifact; outputs are added as needed."""
    taken = {cut.activations.name or "": layer.activations}
    if cut.prefix is not None:
        tokens = emit.op("Slice", target, [0], [layer.prefix_tokens], [1], role="prefix")
        name = f"prefix.{layer.name}" if many else "prefix"
        taken[cut.prefix.name or ""] = publish(emit, tokens, name, dims_of(cut.prefix))
    for value, source in cut.beside:
        if not (source.is_graph_input() or source.is_graph_output()):
            emit.graph.outputs.append(source)
        taken[value.name or ""] = source.name or ""
    return taken


def _grafted(
    cut: _Cut, located: Sequence[Located], spec: Spec, layer: Layer, profile: Profile,
    limit: float,
) -> Spec:  # fmt: skip
    """Graft gradients into a head, as into any model; its metadata.

    The hashes are those of the source that head and artifact were made from.
    """
    values = dict.fromkeys(one.value for one in located)
    outputs = dict(zip(values, cut.model.graph.outputs, strict=True))
    scored: list[Located] = []
    for one in located:
        probabilities = one.score.activated and one.score.output == one.score.value
        score = replace(
            one.score, output=one.score.value, activated=probabilities,
            class_axis=None if one.axis == 1 else one.axis, class_offset=one.offset or None,
        )  # fmt: skip
        if (how := score.similarity) is not None:  # of a head's own embedding, with the bank
            how = replace(how, embedding=one.score.value)
            score = replace(score, output=one.score.output, similarity=how)
        scored.append(replace(one, value=outputs[one.value], score=score))
    captured = Captured(cut.model, {layer.name: cut.activations})
    made = graft(captured, scored, [None] * len(scored), None, None, profile, limit=limit)
    return replace(made.spec, source=spec.source)
