"""This module says what the gradients of a file are on images of one colour.

A file has no framework beside it that would tell which of several slopes at a kink is the right
one, and differences do not tell either. So nothing fails here: notes say what was chosen.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Mapping, Sequence

import numpy as np
import onnx_ir as ir

from ...errors import VerificationError
from ...graph.emitter import constant_of
from ..float64.values import values_of
from ..runs.artifact import Artifact
from ..runs.flat_images import flat_images
from ..runs.running import Array, Draw, Tensors
from ..verdict.findings import Finding

_WHERE = "on images of one colour"
# What frameworks do at ties, of a reduction and of an operator between tensors.
_OTHERS = {
    True: "as in JAX, TensorFlow and PyTorch's amax; PyTorch's max(dim) gives it to the first",
    False: "as in JAX and PyTorch; TensorFlow gives it to the first",
}


def notes_on_flat(
    artifact: Artifact, model: ir.Model, sharing: Collection[str], draw: Draw
) -> list[Finding]:
    """Say where gradients are not finite, and where equal extremes share one.

    Args:
        artifact: The artifact.
        model: The graph that values are taken from.
        sharing: Names of extremes that share the gradient among ties, though the file does not tell
            whether its framework shares it.
        draw: Makes random inputs.
    """
    with contextlib.suppress(VerificationError):  # such as a detector that finds nothing there
        feeds = flat_images(artifact, draw)
        return [*_endless(artifact, feeds), *_shared(artifact, model, sharing, feeds)]
    return []


def _endless(artifact: Artifact, feeds: Sequence[Tensors]) -> list[Finding]:
    found = [artifact.run({**one, **artifact.choose(one, 0, 1)}) for one in feeds]
    reason = f"{_WHERE} it is not finite, and the status of the map is 'nonfinite'"
    return [
        Finding("gradients", layer.gradients, "pass", None, None, reason, artifact.level, "flat")
        for layer in artifact.spec.layers
        if not all(np.isfinite(results[layer.gradients]).all() for results in found)
    ]


def _shared(
    artifact: Artifact, model: ir.Model, sharing: Collection[str], feeds: Sequence[Tensors]
) -> list[Finding]:
    findings = list[Finding]()
    for node in (one for one in model.graph if one.outputs[0].name in sharing):
        reduces = node.op_type.startswith("Reduce")
        tied = _ties_along if reduces else _ties_between
        if any(tied(node, _operands(artifact, model, one, node)) for one in feeds):
            reason = f"{_WHERE} ties of {node.op_type} {node.name!r} share the gradient"
            extreme, level = node.outputs[0].name or "", artifact.level
            findings.append(
                Finding(
                    "gradients", extreme, "pass", None, None, f"{reason}, {_OTHERS[reduces]}",
                    level, "flat",
                )
            )  # fmt: skip
    return findings


def _operands(
    artifact: Artifact, model: ir.Model, feeds: Tensors, node: ir.Node
) -> dict[str, Array]:
    """What a node reads, by name."""
    read = {value.name or "": constant_of(value) for value in node.inputs if value is not None}
    names = [name for name, known in read.items() if known is None]
    found = values_of(artifact, model, artifact.source_feeds(feeds), names)
    return {name: found[name] if known is None else known for name, known in read.items()}


def _ties_along(node: ir.Node, operands: Mapping[str, Array]) -> bool:
    """Whether several elements along the reduced axes reach the extreme."""
    value, *_ = operands.values()
    axes = constant_of(node.inputs[1]) if len(node.inputs) > 1 else None
    over = tuple(range(value.ndim)) if axes is None else tuple(int(one) for one in axes.reshape(-1))
    extreme = np.max if node.op_type == "ReduceMax" else np.min
    reached = value == extreme(value, axis=over, keepdims=True)
    return bool((reached.sum(over) > 1).any())


def _ties_between(node: ir.Node, operands: Mapping[str, Array]) -> bool:
    """Whether several operands reach the extreme at one place."""
    stacked = np.stack(np.broadcast_arrays(*operands.values()))
    extreme = np.max if node.op_type == "Max" else np.min
    return bool(((stacked == extreme(stacked, axis=0)).sum(0) > 1).any())
