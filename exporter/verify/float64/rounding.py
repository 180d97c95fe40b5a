"""This module measures how far rounding moves the results of a quantised artifact.

Two engines, or two optimisation levels of one, add up the same sums in another order. A number near
the middle between two codes is then rounded to the other one, and the difference of a whole step
moves later numbers past their middles, until after some layers the two round independently. So
every number that a quantiser takes is moved by up to half of its step, at random: what the results
differ by then is what quantisers of these scales, in this model, leave open.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import onnx_ir as ir

from ...graph.emitter import Emitter, constant_of, dims_of
from ...graph.open_file import open_file
from ...graph.ort_session import session_of
from ..runs.artifact import Artifact
from ..runs.matrix import Bounds, FirstRun
from ..verdict.compare import CEILING, relative_errors
from .straight_through import ROUNDING

# Two engines that round independently differ by 0.8 times what this noise adds, in the mean; few
# images scatter about that.
_SCATTER = 2.0
_TRIALS = 3


def rounding_bounds(artifact: Artifact, firsts: Sequence[FirstRun], least: float) -> Bounds:
    """For each output of an artifact, the largest relative error that rounding explains.

    Args:
        artifact: At the level of the first runs.
        firsts: Its first runs.
        least: What the arithmetic of floats explains by itself.
    """
    model = open_file(artifact.path)
    shake(model.graph)
    # Another engine's rounding is measured by ONNX Runtime's, not by how far it is off itself.
    usual = artifact.on_cpu
    shaken, spec = replace(artifact), artifact.spec
    shaken.session = session_of(model, artifact.path.parent, artifact.cpu_level)
    found: dict[str, float] = {}
    for first in [*firsts] * _TRIALS:
        feeds = {**first.feeds, spec.selector: first.selected}
        same = first.results if usual is artifact else usual.run(feeds, first.region)
        for name, value in shaken.run(feeds, first.region).items():
            if value.dtype.kind == "f" and value.ndim and value.size:
                error = float(relative_errors(value, same[name]).max(initial=0.0))
                found[name] = max(found.get(name, least), _SCATTER * error)
    if (most := max(found.values(), default=least)) > least:
        # A code that is rounded to an end of its type, or from there, switches its gradient off or
        # on. Few trials meet such a jump, which may be large.
        found |= {layer.heatmap: max(most, found[layer.heatmap]) for layer in spec.layers}
        found |= {layer.gradients: CEILING for layer in spec.layers}
        found |= dict.fromkeys(spec.of_input.values(), CEILING)
    return Bounds({name: min(CEILING, error) for name, error in found.items()})


def shake(graph: ir.Graph) -> None:
    """Add noise of up to half a step to every number that is rounded on the way, in place."""
    emit = Emitter(graph)
    quantisers = [node for node in graph if node.op_type in ROUNDING]
    for number, node in enumerate(quantisers):
        x = node.inputs[0]
        if x is None or x.dtype is None or constant_of(x) is not None:
            continue
        (noise,) = emit.ops(
            "RandomUniformLike", x, count=1, dtype=[ir.DataType.FLOAT], low=-0.5, high=0.5,
            seed=float(number + 1),
        )  # fmt: skip
        step = emit.cast(_step(emit, node, x), ir.DataType.FLOAT)
        node.replace_input_with(
            0, emit.op("Add", x, emit.cast(emit.op("Mul", noise, step), x.dtype))
        )
    graph.sort()


def _step(emit: Emitter, node: ir.Node, x: ir.Value) -> ir.Value:
    """The scale of a quantiser, shaped to broadcast."""
    if node.op_type == "DynamicQuantizeLinear":
        kinds = [ir.DataType.UINT8, ir.DataType.FLOAT, ir.DataType.UINT8]
        return emit.ops("DynamicQuantizeLinear", x, count=3, dtype=kinds)[1]
    scale, rank = node.inputs[1], len(dims_of(x))
    assert scale is not None
    after = rank - 1 - node.attributes.get_int("axis", 1) % max(rank, 1)
    if not dims_of(scale) or not after:
        return scale
    return emit.op("Reshape", scale, emit.ints([-1, *[1] * after]))
