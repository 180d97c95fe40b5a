"""`session_of` opens an ONNX Runtime session for a graph in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx_ir as ir


def session_of(model: ir.Model, folder: Path | None) -> Any:
    """Return a session on the CPU, without optimisations, so that the graph runs unchanged.

    Args:
        model: The model.
        folder: The folder of its external data, if it has any.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    if folder is not None:
        options.add_session_config_entry(
            "session.model_external_initializers_file_folder_path", str(folder)
        )
    options.add_session_config_entry("session.disable_prepacking", "1")  # it copies weights
    data = ir.to_proto(model).SerializeToString()
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
