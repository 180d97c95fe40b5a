"""One question to an artifact, by any method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import InputError
from ..spec import Layer
from .contrast import check_classes
from .request import Answer, Question
from .table import METHODS, find_method


def check_method(method: str, options: Mapping[str, Any]) -> str:
    """Return ``method`` if there is one of this name that takes ``options``.

    Raises:
        InputError: An unknown method or option.
    """
    taken = find_method(method).options
    unknown = sorted(set(options) - set(taken))
    if unknown:
        raise InputError(
            f"method '{method}' takes no option {', '.join(map(repr, unknown))}; "
            + (f"it takes {', '.join(taken)}" if taken else "it takes none")
        )
    return method


def share_options(methods: Sequence[str], options: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Each method's part of ``options``: those that it takes.

    Raises:
        InputError: An unknown method, or an option that none of them takes.
    """
    taken = {method: find_method(method).options for method in methods}
    stray = sorted(set(options) - {name for names in taken.values() for name in names})
    if stray:
        raise InputError(
            f"none of the methods {', '.join(taken)} takes {', '.join(map(repr, stray))}; "
            "leave it out"
        )
    return {
        method: {name: options[name] for name in names if name in options}
        for method, names in taken.items()
    }


def ask(question: Question, method: str, options: Mapping[str, Any]) -> Answer:
    """Answer ``question`` by ``method``, which `check_method` has let pass.

    Raises:
        InputError: The artifact lacks what the method needs, or an option has a wrong value.
        SessionError: ONNX Runtime failed.
    """
    # What overflows is reported by the maps' status.
    with np.errstate(over="ignore", invalid="ignore"):
        return _ask(question, method, options)


def _ask(question: Question, method: str, options: Mapping[str, Any]) -> Answer:
    record, spec = METHODS[method], question.session.spec
    if not record.is_formula:
        transform = spec.preprocess
        if transform is not None and transform.embedded and "images" in record.needs:
            raise InputError(
                f"method '{method}' works with the images as the model takes them, which an "
                "artifact with embedded preprocessing makes itself; export it without "
                "embed_preprocess"
            )
        return record.function(question, **options)
    layer, classes = question.layer, question.feeds[spec.selector].shape[1]
    check_classes(method, classes)
    got = question.fetch([*question.answers, *needed(layer, method, options)])
    finished = _baked(layer, method, options)
    if finished is not None:
        return question.answer(got, got[finished])
    tensors = {need: got[_output(layer, need)] for need in record.needs}
    return question.answer(got, record.maps(tensors, classes, options))


def needed(layer: Layer, method: str, options: Mapping[str, Any]) -> list[str]:
    """Names of the outputs that `ask` makes a formula's maps of; none for other methods."""
    record, finished = METHODS[method], _baked(layer, method, options)
    if finished is not None:
        return [finished]
    return [_output(layer, need) for need in record.needs] if record.is_formula else []


def _baked(layer: Layer, method: str, options: Mapping[str, Any]) -> str | None:
    """Name of the output that holds a formula's finished maps, if the artifact has them."""
    return None if options else layer.baked.get(method)


def _output(layer: Layer, need: str) -> str:
    """Name of the output that holds what a formula needs."""
    return {"activations": layer.activations, "gradients": layer.gradients}[need]
