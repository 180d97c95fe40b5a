"""Which value is the score, and which values are the target layers, in an ONNX graph."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import onnx_ir as ir

from ..runtime.spec import Score
from .emitter import Dim, dims_of
from .errors import LayerError, ScoreError
from .walk import module_path

_SCORES = "[batch, classes] or [batch, classes, *positions] float tensor"
Activation = Literal["softmax", "sigmoid", "none"]


@dataclass(frozen=True)
class Located:
    """The score in the graph.

    Attributes:
        value: Class scores [N, classes] or [N, classes, *positions].
        score: The same as metadata.
    """

    value: ir.Value
    score: Score

    @property
    def dense(self) -> bool:
        """Whether the scores have positions, over which they are summed."""
        return len(dims_of(self.value)) > 2


def find_score(
    graph: ir.Graph,
    *,
    output: str | None = None,
    kind: Literal["logit", "output"] = "logit",
    activation: Activation | None = None,
) -> Located:
    """Find the class scores, before a trailing activation.

    They are the first float output [N, classes]; where there is none, the first one with positions,
    [N, classes, *positions].

    Args:
        graph: The model's graph.
        output: Name of the output to use instead of the first fitting one.
        kind: ``logit`` steps back over a trailing Softmax, LogSoftmax or Sigmoid.
        activation: What turns the scores into probabilities, where the graph does not show it.

    Raises:
        ScoreError: No such output.
    """
    chosen = _output(graph, output)
    value, found, activated = chosen, activation, False
    inner = _without_identity(chosen)
    if kind == "logit" and _before_quantiser(inner) is not inner:
        value = inner = _before_quantiser(inner)
    producer = inner.producer()
    if producer is not None and _over_classes(producer):
        found = found or ("sigmoid" if producer.op_type == "Sigmoid" else "softmax")
        activated = producer.op_type != "LogSoftmax"
        before = producer.inputs[0]
        if kind == "logit" and before is not None:
            value = _before_quantiser(before)
    classes = dims_of(value)[1]
    assert isinstance(classes, int)
    single = classes == 1
    if found is None:
        found = "sigmoid" if single else "softmax"
    assert chosen.name is not None
    assert value.name is not None
    return Located(
        value,
        Score(kind, value.name, chosen.name, found, activated, 2 if single else classes, single),
    )


def _over_classes(node: ir.Node) -> bool:
    """Whether a node turns class scores into probabilities: a sigmoid, or a softmax over axis 1."""
    if node.op_type not in ("Softmax", "LogSoftmax"):
        return node.op_type == "Sigmoid"
    axis = node.attributes.get("axis")
    rank = len(dims_of(node.outputs[0]))
    return (-1 if axis is None else axis.as_int()) % rank == 1


def _without_identity(value: ir.Value) -> ir.Value:
    """What reaches ``value`` unchanged; converters like to name outputs by an Identity."""
    producer = value.producer()
    while producer is not None and producer.op_type == "Identity" and producer.inputs[0]:
        value = producer.inputs[0]
        producer = value.producer()
    return value


def _before_quantiser(value: ir.Value) -> ir.Value:
    """The scores that a trailing quantiser rounds: one at the end of its range has no gradient."""
    dequantiser = value.producer()
    if dequantiser is None or dequantiser.op_type != "DequantizeLinear":
        return value
    code = dequantiser.inputs[0]
    quantiser = None if code is None else code.producer()
    if quantiser is None or quantiser.op_type != "QuantizeLinear":
        return value
    return quantiser.inputs[0] or value


def _output(graph: ir.Graph, name: str | None) -> ir.Value:
    outputs = {value.name: value for value in graph.outputs}
    described = ", ".join(f"{v.name} {_shape(v)}" for v in graph.outputs)
    if name is not None:
        if name not in outputs:
            raise ScoreError(f"no output is called {name!r}; the model has: {described}")
        if not _is_score(outputs[name]):
            raise ScoreError(f"output {name!r} is no {_SCORES}: {described}")
        return outputs[name]
    # Stable: a feature map that is handed out before the class scores does not hide them.
    found = sorted(filter(_is_score, graph.outputs), key=lambda value: len(dims_of(value)) > 2)
    if found:
        return found[0]
    raise ScoreError(f"no output is a {_SCORES}; the model has: {described}")


def _is_score(value: ir.Value) -> bool:
    if value.shape is None or value.dtype is None or not value.dtype.is_floating_point():
        return False
    dims = dims_of(value)
    return len(dims) >= 2 and isinstance(dims[1], int)


def _shape(value: ir.Value) -> list[Dim]:
    return [] if value.shape is None else dims_of(value)


def find_layer(graph: ir.Graph, name: str) -> ir.Value:
    """Find a layer by value name, node name, recorded module path or scope of node names.

    A scope such as ``/layer4/layer4.1`` stands for what leaves it: its last value that is used
    elsewhere.

    Raises:
        LayerError: Nothing has that name; the nearest names are suggested.
    """
    for node in graph:
        for value in node.outputs:
            if value.name == name:
                return value
    for node in graph:
        if node.name == name:
            return node.outputs[0]
    for inside in (
        [node for node in graph if _inside(module_path(node), name)],
        [node for node in graph if (node.name or "").startswith(f"{name.rstrip('/')}/")],
    ):
        if inside:
            return _leaving(inside)
    names = [value.name for node in graph for value in node.outputs if value.name]
    names += [node.name for node in graph if node.name]
    names += [path for node in graph if (path := module_path(node))]
    raise LayerError(unknown_layer(name, names))


def _inside(path: str, scope: str) -> bool:
    return path == scope or path.startswith(scope + ".")


def _leaving(nodes: Sequence[ir.Node]) -> ir.Value:
    """The last value of a module that is used outside of it."""
    own = set(nodes)
    for node in reversed(nodes):
        for value in node.outputs:
            users = [use.node for use in value.uses()]
            if value.is_graph_output() or any(user not in own for user in users):
                return value
    return nodes[-1].outputs[0]


def unknown_layer(name: str, names: Iterable[str]) -> str:
    """The message for a layer that does not exist."""
    near = difflib.get_close_matches(name, sorted(set(names)), n=4, cutoff=0.4)
    hint = f"; did you mean {', '.join(near)}?" if near else ""
    return f"no layer is called {name!r}{hint} (`graftcam layers` lists them)"
