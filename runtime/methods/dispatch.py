"""`run_method` runs any method on a batch; `check_method` and `share_options` check its options."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import InputError
from ..spec import Layer, Spec
from .attention_outputs import attention_outputs
from .contrast import check_classes
from .method_io import MethodInput, MethodOutput
from .table import METHODS, find_method


def check_method(method: str, options: Mapping[str, Any]) -> str:
    """Return ``method`` if there is such a method and it takes ``options``.

    Raises:
        InputError: An unknown method or option, or a value of another type.
    """
    record = find_method(method)
    taken = record.options
    unknown = sorted(set(options) - set(taken))
    if unknown:
        raise InputError(
            f"method '{method}' takes no option {', '.join(map(repr, unknown))}; "
            + (f"it takes {', '.join(taken)}" if taken else "it takes none")
        )
    record.check_types(method, options)
    return method


def share_options(methods: Sequence[str], options: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return for each method the part of ``options`` that it takes.

    Raises:
        InputError: A method is unknown, none of the methods takes an option, or a value has
            another type.
    """
    taken = {method: find_method(method).options for method in methods}
    stray = sorted(set(options) - {name for names in taken.values() for name in names})
    if stray:
        raise InputError(
            f"none of the methods {', '.join(taken)} takes {', '.join(map(repr, stray))}; "
            "leave it out"
        )
    shared = {
        method: {name: options[name] for name in names if name in options}
        for method, names in taken.items()
    }
    for method, own in shared.items():
        METHODS[method].check_types(method, own)
    return shared


def run_method(batch: MethodInput, method: str, options: Mapping[str, Any]) -> MethodOutput:
    """Run ``method`` on ``batch``, after `check_method` has checked it.

    Raises:
        InputError: The artifact lacks what the method needs, or an option has a wrong value.
        SessionError: ONNX Runtime failed.
    """
    # The status of the maps reports an overflow.
    with np.errstate(over="ignore", invalid="ignore"):
        return _run_method(batch, method, options)


def _run_method(batch: MethodInput, method: str, options: Mapping[str, Any]) -> MethodOutput:
    record, spec = METHODS[method], batch.session.spec
    if not record.is_formula:
        transform = spec.preprocess
        if transform is not None and transform.embedded and "images" in record.needs:
            raise InputError(
                f"method '{method}' works with the images as the model takes them, which an "
                "artifact with embedded preprocessing makes itself; export it without "
                "embed_preprocess"
            )
        return record.function(batch, **options)
    layer, classes = batch.layer, batch.feeds[spec.selector].shape[1]
    check_classes(method, classes)
    got = batch.fetch([*batch.common_outputs, *formula_outputs(spec, layer, method, options)])
    finished = _baked(layer, method, options)
    if finished is not None:
        return batch.output(got, got[finished])
    tensors = {need: got[getattr(layer, need)] for need in record.needs}
    return batch.output(got, record.maps(tensors, classes, options))


def formula_outputs(spec: Spec, layer: Layer, method: str, options: Mapping[str, Any]) -> list[str]:
    """Return the names of the outputs that a method's one run reads; none for other methods.

    Raises:
        InputError: The artifact lacks the attention that the method follows.
    """
    record, finished = METHODS[method], _baked(layer, method, options)
    if finished is not None:
        return [finished]
    if "attention" in record.needs:
        return attention_outputs(spec, method, options)
    return [getattr(layer, need) for need in record.needs] if record.is_formula else []


def _baked(layer: Layer, method: str, options: Mapping[str, Any]) -> str | None:
    """Return the name of the output with a formula's finished maps, if the artifact has them."""
    return None if options else layer.baked.get(method)
