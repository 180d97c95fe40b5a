"""This module opens the file that an artifact was made from, and finds out whether it runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnx_ir as ir

from ...errors import VerificationError, first_line
from ...graph.emitter import dims_of
from ...graph.fix_axes import forget_shapes
from ...graph.infer_shapes import OPEN_SIZES, name_open_axes, trial_feeds
from ...graph.open_file import open_file
from ...graph.ort_session import Where, is_level, session_of
from .running import load_session

_AT_FAULT = "the file is at fault, not the artifact; make it anew"


def open_source(path: Path, model: ir.Model, level: Where = "all") -> Any:
    """Open a session of the file, at the sizes that it was exported with.

    ONNX Runtime takes no other sizes than those that a file fixes, even where its nodes would. An
    artifact may have others, if its user gave them; the file's own are forgotten then.

    Args:
        path: The file.
        model: The graph that the artifact was made of, whose inputs have the artifact's sizes.
        level: ONNX Runtime's level of graph optimisation.

    Raises:
        VerificationError: ONNX Runtime cannot load it.
    """
    session = load_session(path, level=level)
    wanted = {value.name: dims_of(value) for value in model.graph.inputs if value.shape is not None}
    if all(_fits(one.shape, wanted.get(one.name) or one.shape) for one in session.get_inputs()):
        return session
    del session  # large weights should not be in memory twice
    source = open_file(path, VerificationError)
    for value in source.graph.inputs:
        if value.name in wanted:
            value.shape = ir.Shape(wanted[value.name])
    forget_shapes(source.graph)
    try:
        return session_of(source, path.resolve().parent, level if is_level(level) else "all")
    except Exception as error:
        reason = f"ONNX Runtime cannot load {path.name} at other sizes: {first_line(error)}"
        raise VerificationError(reason) from error


def why_not_loaded(path: Path) -> str | None:
    """Why ONNX Runtime does not load a file, if it does not."""
    try:
        load_session(path)
    except VerificationError as error:
        return f"{error}: {_AT_FAULT}"
    return None


def why_not_run(path: Path) -> str | None:
    """Why ONNX Runtime runs a file on no size of its inputs that is tried, if it does not.

    The inputs are noise, and zeros for integers.
    """
    if fault := why_not_loaded(path):
        return fault
    session, graph = load_session(path), open_file(path, VerificationError).graph
    name_open_axes(graph)
    reasons = list[str]()
    for side in OPEN_SIZES:
        try:
            feeds = trial_feeds(graph, side)
        except Exception:  # it takes what cannot be made up, such as text
            return None
        try:
            session.run(None, feeds)
        except Exception as error:  # ONNX Runtime's exceptions share no base of their own
            reasons.append(first_line(error))
        else:
            return None
    sizes = any(not isinstance(dim, int) for one in graph.inputs for dim in dims_of(one)[1:])
    hint = "; or fix the open axes of its inputs at sizes that it takes (--shape)" if sizes else ""
    return f"ONNX Runtime cannot run {path.name} itself: {reasons[0]}: {_AT_FAULT}{hint}"


def _fits(own: Sequence[Any], wanted: Sequence[Any]) -> bool:
    """Whether an input takes these extents; text and None stand for open ones."""
    pairs = zip(own, wanted, strict=False)
    return not any(isinstance(a, int) and isinstance(b, int) and a != b for a, b in pairs)
