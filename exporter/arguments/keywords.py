"""These functions read the keywords of `export` that are fields of records, or unknown."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection, Sequence
from dataclasses import fields, replace
from difflib import get_close_matches
from pathlib import Path
from typing import ParamSpec, TypedDict, TypeVar

from ...runtime.settings import Activation, Score, ScoreKind, TorchExport
from .values import items_of

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")
FLAGS = ("head", "input_gradients", "guided", "fullgrad", "embed_preprocess", "attention")


class RecordFields(TypedDict, total=False):
    """Fields of `Score` and `TorchExport` that `export` also takes as keywords of its own."""

    output: str | Sequence[str] | None
    activation: Activation | None
    class_axis: int | None
    class_offset: int | None
    scale: float | None
    bias: float | None
    text_encoder: str | Path | None
    opset: int
    dynamic_batch: bool
    dynamic_size: bool
    input_names: Sequence[str] | None
    output_names: Sequence[str] | None


def refuse_unknown(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Let ``function`` say what to write instead of a keyword that it does not have."""
    known = inspect.signature(function).parameters.values()
    names = [parameter.name for parameter in known if parameter.kind != parameter.VAR_KEYWORD]
    takes = {*names, *RecordFields.__annotations__}

    @functools.wraps(function)
    def checked(*args: Parameters.args, **keywords: Parameters.kwargs) -> Result:
        for name, value in keywords.items():
            if name not in takes:
                remedy = _remedy(name, value, takes)
                raise TypeError(f"{function.__name__}() has no argument {name!r}; {remedy}")
        return function(*args, **keywords)

    return checked


def with_fields(
    score: ScoreKind | Score, trace: TorchExport | None, given: RecordFields
) -> tuple[ScoreKind | Score, TorchExport | None]:
    """Put fields given as keywords into the score and the trace, which keep their others."""
    of_score = {f.name: given[f.name] for f in fields(Score) if f.name in given}
    of_trace = {f.name: given[f.name] for f in fields(TorchExport) if f.name in given}
    if of_score:
        score = replace(score if isinstance(score, Score) else Score(score), **of_score)
    if of_trace:
        trace = replace(TorchExport() if trace is None else trace, **of_trace)
    return score, trace


def _remedy(name: str, value: object, names: Collection[str]) -> str:
    if name == "methods" or name in FLAGS:
        given = [name] if name in FLAGS else [value] if isinstance(value, str) else items_of(value)
        return f"give extras={{{', '.join(map(repr, given or []))}}}" if value else "leave it out"
    near = get_close_matches(name, names, n=1)
    return f"did you mean {near[0]!r}?" if near else f"it has {', '.join(names)}"
