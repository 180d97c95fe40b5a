"""`configure_with` sets options of ONNX Runtime's session by short names.

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

from collections.abc import Callable, Mapping
from typing import Any

from ..errors import SessionError
from .providers import load_onnxruntime

_LEVELS = {
    "all": "ORT_ENABLE_ALL",
    "extended": "ORT_ENABLE_EXTENDED",
    "basic": "ORT_ENABLE_BASIC",
    "none": "ORT_DISABLE_ALL",
}


def configure_with(options: Mapping[str, Any]) -> Callable[[Any], None]:
    """Return a function that sets ``options`` in ONNX Runtime's ``SessionOptions``.

    Raises:
        SessionError: An option or its value is unknown; raised by the returned function.
    """

    def configure(target: Any) -> None:
        for name, value in options.items():
            _set(target, name, value)

    return configure


def _set(target: Any, name: str, value: Any) -> None:
    if "." in name:
        text = str(int(value)) if isinstance(value, bool) else str(value)
        target.add_session_config_entry(name, text)
    elif name in _SETTERS:
        kind, setter = _SETTERS[name]
        if type(value) is not kind:
            raise SessionError(f"option {name}={value!r}: give {_KINDS[kind]}")
        setter(target, value)
    else:
        raise SessionError(
            f"unknown option {name!r}; there are {', '.join(_SETTERS)}, and ONNX Runtime's own, "
            "such as 'session.set_denormal_as_zero'"
        )


def _arena(target: Any, value: bool) -> None:
    target.enable_cpu_mem_arena = value


def _mem_pattern(target: Any, value: bool) -> None:
    target.enable_mem_pattern = value


def _spinning(target: Any, value: bool) -> None:
    for pool in ("intra_op", "inter_op"):
        target.add_session_config_entry(f"session.{pool}.allow_spinning", str(int(value)))


def _inter_op_threads(target: Any, value: int) -> None:
    modes = load_onnxruntime().ExecutionMode
    target.inter_op_num_threads = value
    target.execution_mode = modes.ORT_PARALLEL if value > 1 else modes.ORT_SEQUENTIAL


def _optimization(target: Any, value: str) -> None:
    if value not in _LEVELS:
        raise SessionError(f"option optimization={value!r}: give one of {', '.join(_LEVELS)}")
    levels = load_onnxruntime().GraphOptimizationLevel
    target.graph_optimization_level = getattr(levels, _LEVELS[value])


_KINDS: dict[type, str] = {bool: "True or False", int: "a number", str: "a word"}
_SETTERS: dict[str, tuple[type, Callable[[Any, Any], None]]] = {
    "arena": (bool, _arena),
    "mem_pattern": (bool, _mem_pattern),
    "spinning": (bool, _spinning),
    "inter_op_threads": (int, _inter_op_threads),
    "optimization": (str, _optimization),
}
