"""`configure` sets options of ONNX Runtime's session by short names.

| option | value | meaning |
|---|---|---|
| ``arena`` | bool | Reuse freed memory in the next run (ONNX Runtime's default: on). Off: less memory, slower. |
| ``mem_pattern`` | bool | Plan a shape's memory once and allocate it in one piece (default: on). |
| ``spinning`` | bool | Idle threads spin and wait for work (default: on). Off: a core is free between runs. |
| ``inter_op_threads`` | int | Threads that run operators in parallel; more than 1 also switches that on. |
| ``optimization`` | ``all``, ``extended``, ``basic``, ``none`` | How far the graph is optimised at load (default: ``all``). |
| any name with a dot | text, number or bool | ONNX Runtime's own entry, such as ``session.set_denormal_as_zero``. |
"""  # noqa: E501 - a table

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import SessionError
from .providers import load_onnxruntime

_LEVELS = {
    "all": "ORT_ENABLE_ALL",
    "extended": "ORT_ENABLE_EXTENDED",
    "basic": "ORT_ENABLE_BASIC",
    "none": "ORT_DISABLE_ALL",
}


_KINDS: dict[str, tuple[type, str]] = {
    "arena": (bool, "True or False"),
    "mem_pattern": (bool, "True or False"),
    "spinning": (bool, "True or False"),
    "inter_op_threads": (int, "a number"),
    "optimization": (str, "a word"),
}


def configure(options: Mapping[str, Any], target: Any) -> None:
    """Set ``options`` in ONNX Runtime's ``SessionOptions``.

    Raises:
        SessionError: An option or its value is unknown.
    """
    ort = load_onnxruntime()
    for name, value in options.items():
        kind, described = _KINDS.get(name, (type(value), ""))
        if type(value) is not kind:
            raise SessionError(f"option {name}={value!r}: give {described}")
        match name:
            case "arena":
                target.enable_cpu_mem_arena = value
            case "mem_pattern":
                target.enable_mem_pattern = value
            case "spinning":
                for pool in ("intra_op", "inter_op"):
                    entry = f"session.{pool}.allow_spinning"
                    target.add_session_config_entry(entry, str(int(value)))
            case "inter_op_threads":
                modes = ort.ExecutionMode
                target.inter_op_num_threads = value
                target.execution_mode = modes.ORT_PARALLEL if value > 1 else modes.ORT_SEQUENTIAL
            case "optimization":
                if value not in _LEVELS:
                    raise SessionError(f"option {name}={value!r}: give one of {', '.join(_LEVELS)}")
                level = getattr(ort.GraphOptimizationLevel, _LEVELS[value])
                target.graph_optimization_level = level
            case _ if "." in name:
                text = str(int(value)) if isinstance(value, bool) else str(value)
                target.add_session_config_entry(name, text)
            case _:
                raise SessionError(
                    f"unknown option {name!r}; there are {', '.join(_KINDS)}, and ONNX Runtime's "
                    "own, such as 'session.set_denormal_as_zero'"
                )
