"""This module runs artifacts in ONNX Runtime, at any level of optimisation."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy.typing as npt

from ....runtime.errors import SessionError
from ....runtime.session.engines.table import engine_title
from ....runtime.session.open import open_session
from ...errors import VerificationError, first_line
from ...graph.ort_session import Where, is_level, options_of
from ...memory import give_back

Array = npt.NDArray[Any]
Tensors: TypeAlias = dict[str, Array]
_LOAD = """
import sys, onnxruntime
onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
"""
Draw: TypeAlias = Callable[[int, int, int], Tensors]
"""Makes the model's own inputs by name, the same for the same arguments: the number of images, the
cells by which open sizes grow, and a seed."""


def load_session(path: Path, *, level: Where = "all") -> Any:
    """Open a session on ONNX Runtime's CPU at a level, or in another engine."""
    import onnxruntime

    if not is_level(level):
        try:
            return open_session(path, None, None, None, level)[0]
        except SessionError as error:
            raise VerificationError(str(error)) from error
    options = options_of(level)
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        reason = first_line(error)
        raise VerificationError(f"ONNX Runtime cannot load {path.name}: {reason}") from error
    give_back()  # loading a file takes twice its size
    return session


def crashes(path: Path) -> bool:
    """Whether ONNX Runtime takes the process down when it loads a file; tried in another one."""
    if not sys.executable:
        return False
    program = [sys.executable, "-c", _LOAD, str(path)]
    return subprocess.run(program, check=False, capture_output=True).returncode < 0


def run_session(session: Any, feeds: Mapping[str, Array]) -> Tensors:
    """All outputs by name."""
    names = [output.name for output in session.get_outputs()]
    try:
        return dict(zip(names, session.run(names, dict(feeds)), strict=True))
    except Exception as error:
        who = engine_title(session.get_providers()[0])
        raise VerificationError(f"{who} cannot run the artifact: {first_line(error)}") from error


def some_rows(feeds: Tensors, rows: slice, batched: Collection[str]) -> Tensors:
    """Part of the images; inputs other than ``batched``, which have no axis of images, whole."""
    return {name: value[rows] if name in batched else value for name, value in feeds.items()}
