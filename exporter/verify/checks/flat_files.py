"""This module says what the gradients of a file are on images of one colour.

A file has no framework beside it that would tell which of several slopes at a kink is the right
one, and differences do not tell either. So nothing fails here: notes say what was chosen.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Sequence

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
        source = node.inputs[0]
        assert source is not None
        name = source.name or ""
        values = (values_of(artifact, model, artifact.source_feeds(one), [name]) for one in feeds)
        if any(_ties(node, found[name]) for found in values):
            reason = (
                f"{_WHERE} ties of {node.op_type} {node.name!r} share the gradient, as in JAX, "
                "TensorFlow and PyTorch's amax; PyTorch's max(dim) gives it to the first"
            )
            extreme = node.outputs[0].name or ""
            level = artifact.level
            findings.append(
                Finding("gradients", extreme, "pass", None, None, reason, level, "flat")
            )
    return findings


def _ties(node: ir.Node, value: Array) -> bool:
    """Whether several elements along the reduced axes reach the extreme."""
    axes = constant_of(node.inputs[1]) if len(node.inputs) > 1 else None
    over = tuple(range(value.ndim)) if axes is None else tuple(int(one) for one in axes.reshape(-1))
    extreme = np.max if node.op_type == "ReduceMax" else np.min
    reached = value == extreme(value, axis=over, keepdims=True)
    return bool((reached.sum(over) > 1).any())
