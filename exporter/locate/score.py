"""This module finds the value that is the score in an ONNX graph."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from ...runtime.settings import Score
from ...runtime.spec import ScoreRecord
from ..errors import ScoreError
from ..graph.emitter import Dim, dims_of
from .layout import arrange

_SCORES = "[batch, classes] or [batch, classes, *positions] float tensor"
_LINEAR = "float tensor [batch, ...]"


@dataclass(frozen=True)
class Located:
    """The score in the graph.

    Attributes:
        value: Class scores, the classes along `axis` after `offset` other entries.
        score: The same as metadata.
        axis: The axis of the classes.
        offset: Entries of that axis that are no classes.
    """

    value: ir.Value
    score: ScoreRecord
    axis: int = 1
    offset: int = 0


def find_score(graph: ir.Graph, score: Score) -> Located:
    """Find the class scores, before a trailing activation.

    They are the first float output [N, classes]; where there is none, the first one with positions,
    [N, classes, *positions].

    Args:
        graph: The model's graph.
        score: What to find. All kinds but ``output`` step back over a trailing Softmax, LogSoftmax
            or Sigmoid; so does ``linear``, unless the activation is ``none``.

    Raises:
        ScoreError: No such output.
    """
    kind = score.kind
    if kind == "linear" and (score.class_axis, score.class_offset) != (1, 0):
        raise ScoreError(
            "a linear score weighs the whole output; leave class_axis and class_offset out"
        )
    chosen = _output(graph, score)
    axis = score.class_axis % len(dims_of(chosen))
    raw = kind == "output" or (kind == "linear" and score.activation == "none")
    value, offset, found, activated = chosen, score.class_offset, score.activation, False
    inner = _without_identity(chosen)
    if offset and (part := class_part(inner, axis, offset)) is not None:
        value, inner, offset = part, _without_identity(part), 0
    if not raw and before_quantiser(inner) is not inner:
        value = inner = before_quantiser(inner)
    producer = inner.producer()
    if producer is not None and _over_classes(producer, axis):
        found = found or ("sigmoid" if producer.op_type == "Sigmoid" else "softmax")
        activated = producer.op_type != "LogSoftmax"
        before = producer.inputs[0]
        if not raw and before is not None:
            value = before_quantiser(before)
    extent = dims_of(value)[axis]
    classes = extent - offset if isinstance(extent, int) else 0
    if kind != "linear" and classes < 1:
        raise ScoreError(
            f"axis {axis} of {chosen.name!r} {_shape(chosen)} holds no class after the first "
            f"{score.class_offset} entries; choose another class_offset"
        )
    single = classes == 1 and kind != "linear"
    if found is None:
        found = "sigmoid" if single else "none" if kind == "linear" else "softmax"
    if found == "none" and kind in ("probability", "log_probability"):
        raise ScoreError(
            f"score {kind!r} needs to know what makes probabilities of {chosen.name!r}; give "
            "activation softmax or sigmoid"
        )
    record = ScoreRecord(
        kind, value.name or "", chosen.name or "", found, activated, 2 if single else classes,
        single, None if axis == 1 else axis, score.class_offset or None,
    )  # fmt: skip
    return Located(value, record, axis, offset)


def channel_score(layer: str, value: ir.Value, graph: ir.Graph) -> Located:
    """The channels of a layer as the scores.

    Args:
        layer: Its name.
        value: Its output.
        graph: The model's graph.

    Raises:
        LayerError: The layer has no channels and places.
        ScoreError: The number of channels is not known.
    """
    axis = 1 if arrange(layer, value, graph).layout == "channels_first" else -1
    channels = dims_of(value)[axis]
    if not isinstance(channels, int):
        raise ScoreError(f"layer {layer!r} leaves its number of channels open; name another one")
    return Located(value, ScoreRecord("channel", value.name or "", "", "none", False, channels))


def class_part(value: ir.Value, axis: int, offset: int) -> ir.Value | None:
    """The class scores, where ``value`` concatenates other entries and them; else None.

    A detector, for example, concatenates boxes and class logits.
    """
    producer = value.producer()
    if producer is None or producer.op_type != "Concat" or producer.inputs[-1] is None:
        return None
    rank = len(dims_of(value))
    if producer.attributes["axis"].as_int() % rank != axis:
        return None
    extents = [None if part is None else dims_of(part)[axis] for part in producer.inputs[:-1]]
    known = [extent for extent in extents if isinstance(extent, int)]
    return producer.inputs[-1] if known == extents and sum(known) == offset else None


def _over_classes(node: ir.Node, axis: int) -> bool:
    """Whether a node makes probabilities of class scores: a sigmoid, or a softmax over them."""
    if node.op_type not in ("Softmax", "LogSoftmax"):
        return node.op_type == "Sigmoid"
    attribute = node.attributes.get("axis")
    rank = len(dims_of(node.outputs[0]))
    return (-1 if attribute is None else attribute.as_int()) % rank == axis


def _without_identity(value: ir.Value) -> ir.Value:
    """The value that reaches ``value`` unchanged: converters often name outputs by an Identity."""
    producer = value.producer()
    while producer is not None and producer.op_type == "Identity" and producer.inputs[0]:
        value = producer.inputs[0]
        producer = value.producer()
    return value


def before_quantiser(value: ir.Value) -> ir.Value:
    """What the quantiser that made ``value`` rounds; itself if none did.

    A score at the end of a quantiser's range has no gradient.
    """
    dequantiser = value.producer()
    if dequantiser is None or dequantiser.op_type != "DequantizeLinear":
        return value
    code = dequantiser.inputs[0]
    quantiser = None if code is None else code.producer()
    if quantiser is None or quantiser.op_type != "QuantizeLinear":
        return value
    return quantiser.inputs[0] or value


def _output(graph: ir.Graph, score: Score) -> ir.Value:
    name, axis, linear = score.output, score.class_axis, score.kind == "linear"
    outputs = {value.name: value for value in graph.outputs}
    described = ", ".join(f"{v.name} {_shape(v)}" for v in graph.outputs)
    expected = _LINEAR if linear else _SCORES
    if axis != 1:
        expected += f" with its classes along axis {axis}"

    def fits(value: ir.Value) -> bool:
        if value.shape is None or value.dtype is None or not value.dtype.is_floating_point():
            return False
        dims = dims_of(value)
        if len(dims) < 2 or not -len(dims) < axis < len(dims) or axis == 0:
            return False
        return linear or isinstance(dims[axis], int)

    if name is not None:
        if name not in outputs:
            raise ScoreError(f"no output is called {name!r}; the model has: {described}")
        if not fits(outputs[name]):
            raise ScoreError(f"output {name!r} is no {expected}: {described}")
        return outputs[name]
    # Those without positions come first: a feature map before the class scores does not hide them.
    found = sorted(filter(fits, graph.outputs), key=lambda value: len(dims_of(value)) > 2)
    if found:
        return found[0]
    raise ScoreError(f"no output is a {expected}; the model has: {described}")


def _shape(value: ir.Value) -> list[Dim]:
    return [] if value.shape is None else dims_of(value)
