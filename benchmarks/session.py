"""`open_session` opens a file in ONNX Runtime as all measurements do; it imports nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnxruntime


def open_session(
    path: str | Path, threads: int = 1, *, profile: bool = False, optimised: bool = True
) -> Any:
    """Open a session on the CPU whose idle threads do not spin, since that slows others.

    Args:
        path: The file.
        threads: Threads within one operator.
        profile: Write ONNX Runtime's profile beside the file.
        optimised: Let ONNX Runtime rewrite the graph.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if not optimised:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    if profile:
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(path).with_suffix(""))
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
