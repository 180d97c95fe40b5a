"""Try one random model after another in a process of its own.

A model that crashes the process or never ends costs that process only: `tried` reports it like any
other fault and starts the next one.
"""

from __future__ import annotations

import logging
import os
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, get_args

from support.child_process import answers

from .program import Program, build, draw
from .shrink import shrink
from .trial import TO_SHRINK, Result, trial

ModelKind = Literal["onnx", "torch"]
KINDS: tuple[ModelKind, ...] = get_args(ModelKind)
Record = dict[str, Any]
_TIMEOUT = 600.0  # seconds for one model, with shrinking
_EXAMPLES = 2  # of one cause
_SHRINKING: dict[ModelKind, float] = {"onnx": 45.0, "torch": 90.0}


def kind_of(name: ModelKind) -> Any:
    """How models of a kind grow; PyTorch is imported only for its own."""
    if name == "onnx":
        from .onnx_model import OnnxKind

        return OnnxKind()
    from support.torch_exporter import share_operators

    from .torch_model import TorchKind

    share_operators()

    return TorchKind()


def run_one(
    name: ModelKind, seed: int, *, verify: bool = True, shrunk: Counter[str] | None = None
) -> Record:
    """Draw a model, try it and, if something is wrong, make it smaller.

    Args:
        name: Its kind.
        seed: It decides the model.
        verify: Let the export verify.
        shrunk: How many models were made smaller, by their faults' cause; those of a cause that
            has examples enough stay as they are. None: no model does.

    Returns:
        The record: kind, seed, outcome, detail and seconds, with a fault's smallest model as text.
    """
    start, kind = time.perf_counter(), kind_of(name)
    with tempfile.TemporaryDirectory() as folder:

        def attempt(program: Program) -> tuple[Any, Result]:
            source = build(kind, program)
            return source, trial(source, Path(folder), verify=verify)

        program = draw(kind, seed)
        source, result = attempt(program)
        steps = [step for step, _ in program.steps]
        record: Record = {"kind": name, "seed": seed, "steps": steps}
        if result.outcome in TO_SHRINK:
            if shrunk is not None and shrunk[result.cause] < _EXAMPLES:
                shrunk[result.cause] += 1
                program = shrink(program, _same(attempt, result), _SHRINKING[name])
                source, result = attempt(program)
            smallest = [step for step, _ in program.steps]
            record |= {"smallest": smallest, "text": source.text, "suffix": source.suffix}
    seconds = round(time.perf_counter() - start, 2)
    return record | {"outcome": result.outcome, "detail": result.detail, "seconds": seconds}


def _same(
    attempt: Callable[[Program], tuple[Any, Result]], result: Result
) -> Callable[[Program], bool]:
    def same(program: Program) -> bool:
        try:
            return attempt(program)[1].symptom == result.symptom
        except Exception:  # it cannot be built
            return False

    return same


def _answer() -> Callable[[tuple[ModelKind, int]], Record]:
    """What answers seeds with records, in a process of its own."""
    os.environ["OMP_NUM_THREADS"] = "1"
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    shrunk = Counter[str]()

    def record_of(asked: tuple[ModelKind, int]) -> Record:
        try:
            return run_one(*asked, shrunk=shrunk)
        except Exception:  # a fault of the fuzzer itself
            return failed(asked, f"the fuzzer: {traceback.format_exc()[-600:]}")

    return record_of


def failed(asked: tuple[ModelKind, int], detail: str) -> Record:
    """The record of a model that left none itself."""
    name, seed = asked
    return {
        "kind": name, "seed": seed, "steps": [], "outcome": "raw exception", "detail": detail,
        "seconds": 0.0,
    }  # fmt: skip


def tried(asked: Iterator[tuple[ModelKind, int]], until: float) -> Iterator[Record]:
    """Records of seeds.

    Args:
        asked: Kinds and seeds.
        until: When to ask for no more, in seconds of `time.monotonic`.
    """
    return answers(_answer, asked, until, _TIMEOUT, failed)
