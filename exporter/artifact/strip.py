"""`write_plain` takes the model out of an artifact."""

from __future__ import annotations

from pathlib import Path

import onnx_ir as ir
from onnx_ir.passes import common as passes

from ...runtime.custody.digests import DIGESTS_KEY
from ...runtime.errors import SpecError
from ...runtime.spec import METADATA_KEY, Spec
from ..graph.external_data import keep_beside, take_in
from ..graph.open_file import open_file


def write_plain(artifact: Path, path: Path) -> None:
    """Write ``artifact``, cut back to the model's own inputs and outputs, to ``path``.

    What only the explanation needs is removed, metadata included; the model's own nodes, names and
    weights stay as they are. Weights beyond 1.9 GB go to ``<name>.data`` beside ``path``.

    Raises:
        CaptureError: The file cannot be read, or weights beside it are missing.
        SpecError: The file is no artifact.
    """
    model = open_file(artifact)
    text = model.metadata_props.pop(METADATA_KEY, None)
    model.metadata_props.pop(DIGESTS_KEY, None)
    if text is None:
        raise SpecError(f"{artifact} has no graftcam metadata; make one with `graftcam export`")
    take_in(model, artifact)
    spec, graph = Spec.from_json(text), model.graph
    added = {*spec.own_inputs, *spec.own_outputs}
    for values in (graph.inputs, graph.outputs):
        for value in [value for value in values if value.name in added]:
            values.remove(value)
    passes.RemoveUnusedNodesPass()(model)
    keep_beside(model, path)
    ir.save(model, path)
