"""This module finds the value that is the score in an ONNX graph."""

from __future__ import annotations

from dataclasses import dataclass, replace

import onnx_ir as ir

from ...runtime.inputs.bank import Bank
from ...runtime.settings import WEIGHTED, Score
from ...runtime.spec import ScoreRecord
from ..errors import ScoreError
from ..graph.emitter import Dim, dims_of
from .arrangement import Arrangement
from .detectors.detection import Detection
from .output_facts import batch_extents, ending_of, logits_of, output_facts
from .probable_entries import probable_entries
from .score_rules import activation_of, choose_output


@dataclass(frozen=True)
class Located:
    """The score in the graph.

    Attributes:
        value: Class scores, the classes along `axis` after `offset` other entries.
        score: The same as metadata.
        axis: The axis of the classes.
        offset: Entries of that axis that are no classes.
        reason: Why it is the score.
        detection: The detector, where boxes are explained: then `value` is one of its tables.
        bank: Texts whose similarities to `value`, an embedding, are the scores of the classes.
    """

    value: ir.Value
    score: ScoreRecord
    axis: int = 1
    offset: int = 0
    reason: str = ""
    detection: Detection | None = None
    bank: Bank | None = None


def find_score(graph: ir.Graph, score: Score, labels: int | None = None) -> Located:
    """Find the class scores, before a trailing activation; see `score_rules.choose_output`.

    A single logit for each image, [N], becomes [N, 1]: a node is added to the graph.

    Args:
        graph: The model's graph.
        score: What to find. All kinds but ``output`` step back over a trailing Softmax, LogSoftmax
            or Sigmoid; so does ``linear``, unless the activation is ``none``.
        labels: Number of labels, if there are any.

    Raises:
        ScoreError: No such output.
    """
    kind = score.kind
    if kind in WEIGHTED and (score.class_axis not in (None, 1) or score.class_offset):
        raise ScoreError(
            f"a {kind} score weighs the whole output; leave class_axis and class_offset out"
        )
    chosen, axis, reason = _chosen(graph, score, labels)
    if score.class_offset is None:
        offset, why = _offset(_without_identity(chosen), axis)
        score, reason = replace(score, class_offset=offset), reason + why
    raw = kind in ("output", "similarity") or (kind == "linear" and score.activation == "none")
    value, offset, found, activated = chosen, score.class_offset or 0, score.activation, False
    inner = _without_identity(chosen)
    if offset and (part := class_part(inner, axis, offset)) is not None:
        value, inner, offset = part, _without_identity(part), 0
    if not raw and before_quantiser(inner) is not inner:
        value = inner = before_quantiser(inner)
    ending = None if kind == "similarity" else ending_of(inner)
    if ending is not None and (ending.axis == axis or ending.op_type == "Sigmoid"):
        found = found or activation_of(ending.op_type, single=False, linear=False)
        activated = ending.op_type != "LogSoftmax"
        if not raw:
            value = before_quantiser(logits_of(graph, ending))
    if len(dims_of(value)) == 1:
        value = _single_column(graph, value)
    extent = dims_of(value)[axis]
    classes = extent - offset if isinstance(extent, int) else 0
    if kind not in WEIGHTED and classes < 1:
        raise ScoreError(
            f"axis {axis} of {chosen.name!r} {_shape(chosen)} holds no class after the first "
            f"{score.class_offset} entries; choose another class_offset"
        )
    single = classes == 1 and kind not in WEIGHTED
    if found is None:
        found = activation_of("", single=single, linear=kind == "linear")
    if found == "none" and kind in ("probability", "log_probability"):
        raise ScoreError(
            f"score {kind!r} needs to know what makes probabilities of {chosen.name!r}; give "
            "activation softmax or sigmoid"
        )
    record = ScoreRecord(
        kind, value.name or "", chosen.name or "", found, activated, 2 if single else classes,
        single, None if axis == 1 else axis, score.class_offset or None,
    )  # fmt: skip
    return Located(value, record, axis, offset, reason)


def _chosen(graph: ir.Graph, score: Score, labels: int | None) -> tuple[ir.Value, int, str]:
    """The scored output, the axis of its classes, and why."""
    found = choose_output(output_facts(graph), score, batch_extents(graph), labels)
    return graph.outputs[found.place], found.axis, found.reason


def _single_column(graph: ir.Graph, value: ir.Value) -> ir.Value:
    """The scores [N] as [N, 1]: a Squeeze of all axes gives a scalar for one image."""
    shape = ir.Value(name=f"{value.name}/column_shape", const_value=ir.tensor([-1, 1]))
    graph.register_initializer(shape)
    node = ir.node("Reshape", [value, shape], name=f"{value.name}/column")
    column = node.outputs[0]
    column.name, column.type = f"{value.name}/column", value.type
    column.shape = ir.Shape([*dims_of(value), 1])
    graph.append(node)
    return column


def channel_score(layer: str, value: ir.Value, arrangement: Arrangement) -> Located:
    """The channels of a layer as the scores.

    Args:
        layer: Its name.
        value: Its output.
        arrangement: The layout of that.

    Raises:
        ScoreError: The number of channels is not known.
    """
    axis = 1 if arrangement.layout == "channels_first" else -1
    channels = dims_of(value)[axis]
    if not isinstance(channels, int):
        raise ScoreError(f"layer {layer!r} leaves its number of channels open; name another one")
    record = ScoreRecord("channel", value.name or "", "", "none", False, channels)
    return Located(value, record, reason=f"the channels of {layer}")


def _offset(value: ir.Value, axis: int) -> tuple[int, str]:
    """Entries before the first class, and what shows them.

    Boxes stand before classes where only the last entries are probabilities; a single one before
    those of another operator says whether there is an object at all.
    """
    entries = None if len(dims_of(value)) <= axis else probable_entries(value, axis)
    if entries is None or not any(entries) or all(entries):
        return 0, ""
    first = entries.index(1)
    if not all(entries[first:]):
        return 0, ""
    last = max(entries)
    if entries[first:].count(1) == 1 and last == 2:
        first += 1
    return first, f"; {first} other entries before the probabilities"


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


def _shape(value: ir.Value) -> list[Dim]:
    return [] if value.shape is None else dims_of(value)
