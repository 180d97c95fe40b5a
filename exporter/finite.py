"""Finite differences, for models that have no PyTorch module behind them.

The part of the graph from a target layer to the score is cut out, brought to float64 and run by
the ONNX reference evaluator, which shares no code with graftcam or ONNX Runtime. The score's
central difference along a direction must equal that direction's inner product with the gradient
that the artifact gives.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from ..runtime.spec import Spec, Verification
from .errors import VerificationError
from .verify import load_session, relative_errors, run_regions, run_session, short
from .walk import inputs_of

Array = npt.NDArray[Any]
Head = Callable[[dict[str, Array]], Array]
BOUND = 1e-3  # float64 differences are far better; a kink between the two points is not
_STEP = 1e-6


def verify_file(
    artifact: Path, spec: Spec, model: ir.Model, source: Path, *, images: int = 2, seed: int = 0
) -> Verification:
    """Check outputs against the source file and gradients by finite differences, on random inputs.

    The directions are the gradient itself, along which the score must change by its length, and
    the gradient with random signs and random magnitudes, which show a wrong component.

    Args:
        artifact: The file.
        spec: Its metadata.
        model: The same graph.
        source: The file that it was made from.
        images: Number of random inputs, if the batch is open.
        seed: Their seed.

    Raises:
        VerificationError: A difference does not fit its gradient.
    """
    session = load_session(artifact)
    generator = np.random.default_rng(seed)
    feeds = random_feeds(session, spec, images, generator)
    results, region = run_regions(session, feeds, spec, seed)
    classes = results[spec.classes]
    errors = _output_errors(source, feeds, results)
    for layer in spec.layers:
        head, extra = head_in_float64(model, layer.value, spec.score.value)
        wide = {name: _wide(feeds[name]) for name in extra}
        start = results[layer.activations].astype(np.float64)
        gradients = results[layer.gradients].astype(np.float64)
        worst = 0.0
        for row, k in np.ndindex(*classes.shape):
            weights = None if region is None else region[row, k]
            score = _score_of(head, wide, layer.value, spec, row, int(classes[row, k]), weights)
            worst = max(worst, _row_error(score, start, gradients[row, k], row, generator))
        errors[layer.gradients] = short(worst)
    wrong = {name: error for name, error in errors.items() if not error <= BOUND}
    if wrong:
        raise VerificationError(
            "the artifact disagrees with its source or finite differences, nothing was written: "
            + "; ".join(
                f"{name}: error {error:.1e} (bound {BOUND:.0e})" for name, error in wrong.items()
            )
        )
    bounds = dict.fromkeys(errors, BOUND)
    return Verification("pass", "finite-differences", len(classes), seed, errors, bounds)


def _output_errors(
    source: Path, feeds: dict[str, Array], results: dict[str, Array]
) -> dict[str, float]:
    """Relative error of each of the model's own outputs against the source file's."""
    plain = run_session(load_session(source), feeds)
    return {
        name: short(float(relative_errors(results[name], expected).max(initial=0.0)))
        for name, expected in plain.items()
        if expected.dtype.kind == "f" and expected.ndim
    }


def _score_of(
    head: Head,
    extra: dict[str, Array],
    target: str,
    spec: Spec,
    row: int,
    class_id: int,
    weights: Array | None,
) -> Callable[[Array], float]:
    """One image's score as a function of the target layer's value."""

    def score(value: Array) -> float:
        table = head({**extra, target: value})
        if spec.score.single_logit:
            table = np.concatenate([-table, table], axis=1)
        scores = table[row, class_id]
        return float(scores if weights is None else (scores * weights).sum())

    return score


def _row_error(
    score: Callable[[Array], float],
    start: Array,
    gradient: Array,
    row: int,
    generator: np.random.Generator,
) -> float:
    """Largest disagreement over the directions, relative to the gradient's length."""
    length = float(np.linalg.norm(gradient))
    signs = generator.choice([-1.0, 1.0], gradient.shape)
    noise = generator.standard_normal(gradient.shape)
    directions = [gradient, gradient * signs, noise] if length else [noise]
    worst = 0.0
    for direction in directions:
        unit = direction / max(float(np.linalg.norm(direction)), 1e-300)
        step = _STEP * max(1.0, float(np.linalg.norm(start[row])))
        ends: list[float] = []
        for sign in (1.0, -1.0):
            moved = start.copy()
            moved[row] += sign * step * unit
            ends.append(score(moved))
        measured = (ends[0] - ends[1]) / (2 * step)
        worst = max(worst, abs(measured - float((gradient * unit).sum())))
    return worst / max(length, 1e-6)


def head_in_float64(model: ir.Model, target: str, score: str) -> tuple[Head, list[str]]:
    """The subgraph from ``target`` to ``score``, evaluated in float64.

    Returns:
        A function from the head's inputs to the score table, and the names of the graph inputs
        that it reads beside the target.
    """
    from onnx.reference import ReferenceEvaluator

    extra = _other_inputs(model.graph, target, score)
    graph = ir.convenience.extract(model.graph, [target, *extra], [score])
    for node in graph.all_nodes():
        _widen_attributes(node)
        for value in node.outputs:
            value.type, value.shape = None, None
    for value in [*graph.inputs, *graph.initializers.values()]:
        _widen(value)
    graph.outputs[0].type = ir.TensorType(ir.DataType.DOUBLE)
    evaluator = ReferenceEvaluator(ir.to_proto(ir.Model(graph, ir_version=model.ir_version)))

    def head(feeds: dict[str, Array]) -> Array:
        found = evaluator.run(None, feeds)
        assert isinstance(found, list)
        return np.asarray(found[0])

    return head, extra


def _other_inputs(graph: ir.Graph, target: str, score: str) -> list[str]:
    """Graph inputs that the score reaches without passing through the target."""
    values = {v.name: v for node in graph for v in node.outputs}
    found: list[str] = []
    stack, seen = [values[score]], {target, score}
    while stack:
        value = stack.pop()
        producer = value.producer()
        if producer is None:
            if value.is_graph_input() and not value.is_initializer() and value.name:
                found.append(value.name)
            continue
        for before in inputs_of(producer):
            if before.name not in seen:
                seen.add(before.name or "")
                stack.append(before)
    return found


def _widen_attributes(node: ir.Node) -> None:
    if node.op_type == "GroupNormalization":  # its definition casts to float32 by default
        node.attributes["stash_type"] = ir.AttrInt64("stash_type", int(ir.DataType.DOUBLE))
    for name, attribute in list(node.attributes.items()):
        if name in ("to", "dtype") and attribute.as_int() == int(ir.DataType.FLOAT):
            node.attributes[name] = ir.AttrInt64(name, int(ir.DataType.DOUBLE))
        elif attribute.type == ir.AttributeType.TENSOR:
            tensor = attribute.as_tensor()
            if tensor.dtype == ir.DataType.FLOAT:
                node.attributes[name] = ir.AttrTensor(name, ir.tensor(_wide(tensor.numpy())))


def _widen(value: ir.Value) -> None:
    if value.dtype == ir.DataType.FLOAT:
        if value.const_value is not None:
            value.const_value = ir.tensor(_wide(value.const_value.numpy()), name=value.name)
        value.type = ir.TensorType(ir.DataType.DOUBLE)


def _wide(array: Array) -> Array:
    return array.astype(np.float64) if array.dtype == np.float32 else array


def random_feeds(
    session: Any, spec: Spec, images: int, generator: np.random.Generator
) -> dict[str, Array]:
    """Random arrays for the inputs that must be fed; open axes after the batch are refused.

    Raises:
        VerificationError: An input cannot be made up.
    """
    feeds: dict[str, Array] = {}
    for argument in session.get_inputs():
        if argument.name in (spec.class_index, spec.region):
            continue
        shape = [
            images if not isinstance(e, int) and i == 0 else e for i, e in enumerate(argument.shape)
        ]
        if argument.type != "tensor(float)" or not all(isinstance(e, int) for e in shape):
            raise VerificationError(
                f"cannot make up input {argument.name!r} ({argument.type} {argument.shape}); "
                "export with verify=False and check the artifact on your own data"
            )
        feeds[argument.name] = generator.standard_normal(shape).astype(np.float32)
    return feeds
