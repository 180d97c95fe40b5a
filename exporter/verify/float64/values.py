"""`values_of` gives values inside a model's graph, as ONNX Runtime computes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import onnx_ir as ir

from ...graph.ort_session import session_of
from ..runs.artifact import Artifact
from ..runs.running import Array, Tensors, run_session
from .straight_through import is_quantised


def values_of(
    artifact: Artifact, model: ir.Model, feeds: Mapping[str, Array], names: Sequence[str]
) -> Tensors:
    """Run ``model``, whose weights lie beside the artifact, up to values; inputs may be among them.

    The graph runs unchanged, that of a quantised model as ONNX Runtime changes it at the
    artifact's level: there its optimisations round otherwise.

    Raises:
        VerificationError: ONNX Runtime cannot run it so.
    """
    found = {name: feeds[name] for name in names if name in feeds}
    inside = [name for name in dict.fromkeys(names) if name not in found]
    if not inside:
        return found
    inputs = [value for value in model.graph.inputs if value.name in feeds]
    graph = ir.convenience.extract(model.graph, inputs, inside)
    level = artifact.cpu_level if is_quantised(graph) else "disable"
    session = session_of(ir.Model(graph, ir_version=model.ir_version), artifact.path.parent, level)
    return found | run_session(session, {one.name: feeds[one.name] for one in session.get_inputs()})
