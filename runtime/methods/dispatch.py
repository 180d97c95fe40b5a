"""One question to an artifact, by any method: the one place that knows all of them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import InputError
from ..inputs.selection import known
from ..spec import Layer
from . import METHODS, check_classes, gradient, perturbation
from .gradient import ATTRIBUTIONS, UNCHANGED
from .perturbation import ON_HEADS, PERTURBATIONS
from .request import Answer, Question

RUNS: dict[str, Callable[..., Answer]] = {**ATTRIBUTIONS, **PERTURBATIONS}
"""Methods that run the artifact in ways of their own: ``(question, **options) -> Answer``."""

SIGNED = gradient.SIGNED | perturbation.SIGNED


def check_method(method: str, options: Mapping[str, Any]) -> str:
    """Return ``method`` if there is one of this name that takes ``options``.

    Raises:
        InputError: An unknown method or option.
    """
    taken = options_of(method)
    unknown = sorted(set(options) - set(taken))
    if unknown:
        raise InputError(
            f"method '{method}' takes no option {', '.join(map(repr, unknown))}; "
            + (f"it takes {', '.join(taken)}" if taken else "it takes none")
        )
    return method


def options_of(method: str) -> dict[str, Any]:
    """The options that ``method`` takes, with their defaults.

    Raises:
        InputError: An unknown method.
    """
    known("method", method, [*METHODS, *RUNS])
    function = METHODS.get(method) or RUNS[method]
    parameters = inspect.signature(function).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY}


def share_options(methods: Sequence[str], options: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Each method's part of ``options``: those that it takes.

    Raises:
        InputError: An unknown method, or an option that none of them takes.
    """
    taken = {method: options_of(method) for method in methods}
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


def signed(method: str, options: Mapping[str, Any]) -> bool:
    """Whether negative values in a method's maps are evidence against the class.

    They are in what a sum leaves that no ReLU cuts off, too.
    """
    return method in SIGNED or not {**options_of(method), **options}.get("relu", True)


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
    if method in RUNS:
        transform = question.session.spec.preprocess
        changes = method not in UNCHANGED and method not in ON_HEADS
        if transform is not None and transform.embedded and changes:
            raise InputError(
                f"method '{method}' changes what the model is fed, which an artifact with embedded "
                "preprocessing makes itself; export it without embed_preprocess"
            )
        return RUNS[method](question, **options)
    layer, spec = question.layer, question.session.spec
    check_classes(method, question.feeds[spec.selector].shape[1])
    got = question.fetch([*question.answers, *needed(layer, method, options)])
    finished = _baked(layer, method, options)
    if finished is not None:
        return question.answer(got, got[finished])
    tensors = got[layer.activations], got[layer.gradients]
    return question.answer(got, METHODS[method](*tensors, **options))


def needed(layer: Layer, method: str, options: Mapping[str, Any]) -> list[str]:
    """Names of the outputs that `ask` makes a method's maps of; none for methods in `RUNS`."""
    if method in RUNS:
        return []
    finished = _baked(layer, method, options)
    return [layer.activations, layer.gradients] if finished is None else [finished]


def _baked(layer: Layer, method: str, options: Mapping[str, Any]) -> str | None:
    """Name of the output that holds a method's finished maps, if the artifact has them."""
    return None if options else layer.baked.get(method)
