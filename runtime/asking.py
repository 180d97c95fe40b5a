"""One question to an artifact, by any method: the one place that knows all of them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from .attribution import ATTRIBUTIONS, UNCHANGED
from .choose import known
from .errors import InputError
from .methods import METHODS, check_classes
from .perturbation import ON_HEADS, PERTURBATIONS
from .question import Answer, Question

RUNS: dict[str, Callable[..., Answer]] = {**ATTRIBUTIONS, **PERTURBATIONS}
"""Methods that run the artifact in ways of their own: ``(question, **options) -> Answer``."""


def check_method(method: str, options: Mapping[str, Any]) -> str:
    """Return ``method`` if there is one of this name that takes ``options``.

    Raises:
        InputError: An unknown method or option.
    """
    known("method", method, [*METHODS, *RUNS])
    function = METHODS.get(method) or RUNS[method]
    parameters = inspect.signature(function).parameters.values()
    taken = [p.name for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY]
    unknown = sorted(set(options) - set(taken))
    if unknown:
        raise InputError(
            f"method '{method}' takes no option {', '.join(map(repr, unknown))}; "
            + (f"it takes {', '.join(taken)}" if taken else "it takes none")
        )
    return method


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
    baked = layer.baked.get(method)
    if baked is not None and not options:
        got = question.session.run(question.feeds, [*question.answers, baked])
        return question.answer(got, got[baked])
    names = [layer.activations, layer.gradients]
    got = question.session.run(question.feeds, [*question.answers, *names])
    return question.answer(got, METHODS[method](*(got[name] for name in names), **options))
