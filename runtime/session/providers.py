"""This module imports ONNX Runtime and chooses execution providers."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import SessionError, first_line

CUDA, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"
Provider = str | tuple[str, dict[str, Any]]


def load_onnxruntime() -> Any:
    """Import ONNX Runtime.

    Raises:
        SessionError: It is not installed, or incompletely; the message has the command to install.
    """
    remedy = f'install it with {install("cpu")}, or `"graftcam[gpu]"` for NVIDIA GPUs'
    try:
        ort = importlib.import_module("onnxruntime")
    except ImportError as error:
        raise SessionError(f"cannot import onnxruntime ({first_line(error)}); {remedy}") from error
    # If both packages were installed, uninstalling one leaves an empty folder that still imports.
    if not hasattr(ort, "InferenceSession"):
        raise SessionError(f"onnxruntime is installed incompletely; uninstall it, then {remedy}")
    return ort


def install(extra: str) -> str:
    """Return the command that installs one of the two packages of ONNX Runtime."""
    return f'`pip install "graftcam[{extra}]"`'


def choose_providers(
    requested: str | Sequence[Provider] | None, available: Sequence[str]
) -> list[tuple[str, dict[str, Any]]]:
    """Choose the execution providers, each with its options.

    Args:
        requested: ONNX Runtime's names or their short forms (``cuda``), best first, each alone or
            with its options; None: CUDA if it is available, else the CPU.
        available: The providers of the installed ONNX Runtime.

    Raises:
        SessionError: A requested provider is not available.
    """
    if requested is None:
        requested = [name for name in (CUDA, CPU) if name in available]
    chosen: list[tuple[str, dict[str, Any]]] = []
    for entry in [requested] if isinstance(requested, str) else requested:
        name, options = (entry, {}) if isinstance(entry, str) else entry
        spellings = {name.lower(), f"{name}ExecutionProvider".lower()}
        found = next((full for full in available if full.lower() in spellings), None)
        if found is None:
            remedy = f"; for CUDA, uninstall onnxruntime, then {install('gpu')}"
            raise SessionError(
                f"provider '{name}' is not available; this ONNX Runtime offers {list(available)}"
                + (remedy if CUDA.lower() in spellings else "")
            )
        chosen.append((found, options))
    if not chosen:
        raise SessionError(f"no provider requested; this ONNX Runtime offers {list(available)}")
    return chosen


def cuda_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return CUDA's options with defaults that suit explanations.

    Every batch size and number of classes gives each convolution another shape. ONNX Runtime's
    default tries all algorithms for each shape before the first result; with HEURISTIC cuDNN
    chooses one without trying.
    """
    return {"cudnn_conv_algo_search": "HEURISTIC", **options}
