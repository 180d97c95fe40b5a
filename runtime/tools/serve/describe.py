"""`describe` says of a model what a client needs: classes, layers, methods, inputs, limits."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

from ...errors import GraftcamError
from ...explain.box_request import check_method_of_boxes
from ...explain.steps import Steps
from ...explain.trial import try_methods
from ...inputs.examples import ExampleReader
from ...methods.method import Method
from ...methods.table import METHODS
from ...methods.titles import TITLES
from ...records import written
from ...spec import Spec
from .settings import Limits

_GRADIENTS = ("input_gradients", "guided_gradients", "deconvnet_gradients", "fullgrad")


def describe(name: str, steps: Steps, limits: Limits) -> dict[str, Any]:
    """Return what a model is and can do, in JSON's types.

    Args:
        name: Its name in addresses.
        steps: The opened artifact.
        limits: What the service accepts.
    """
    spec, reader = steps.session.spec, steps.reader
    height, width = _size(steps)
    return {
        "name": name,
        "digest": hashlib.sha256(spec.to_json().encode()).hexdigest(),
        "source": spec.source.get("name", ""),
        "kind": _kind(spec),
        "outputs": spec.output_names,
        "layers": [{"name": layer.name, "grid": _grid(layer.grid)} for layer in spec.layers],
        "methods": methods_of(steps),
        "labels": spec.labels,
        "output_labels": _labels_by_output(spec),
        "score_weights": _weights(steps),
        "classes": spec.score.classes if spec.class_index is not None else None,
        "input": {
            "name": reader.main,
            "height": height,
            "width": width,
            "formats": [suffix.removeprefix(".") for suffix in reader.suffixes],
            "image": spec.preprocess is not None,
            "further": [
                {"name": port.name, "datatype": np.dtype(port.dtype or np.float32).name,
                 "shape": [extent or -1 for extent in port.shape]}
                for port in steps.session.model_inputs if port.name != reader.main
            ],
        },
        "verification": written(spec.verification),
        "limits": {"bytes": limits.bytes, "pixels": limits.pixels, "top": limits.top},
    }  # fmt: skip


def methods_of(steps: Steps) -> list[dict[str, Any]]:
    """Return the methods that the artifact serves at its first layer, with their names and costs.

    Each is tried on a blank image, which runs the model hardly at all.
    """
    spec, reader = steps.session.spec, steps.reader
    default = spec.layers[0].method or "gradcam"
    return [
        {
            "id": name, "title": TITLES[name], "signed": method.is_signed({}),
            "cost": "many runs" if _runs_often(method) else "one run", "default": name == default,
        }
        for name, method in METHODS.items()
        if _is_served(steps, reader, name, method)
    ]  # fmt: skip


def _is_served(steps: Steps, reader: ExampleReader, name: str, method: Method) -> bool:
    spec = steps.session.spec
    if not _has_outputs(spec, method):
        return False
    try:
        if spec.detector is not None:
            check_method_of_boxes(name, spec.detector)
        else:
            try_methods(steps.session, steps.heads, reader, [(spec.layers[0], name, {})])
    except GraftcamError:
        return False
    return True


def _has_outputs(spec: Spec, method: Method) -> bool:
    """Whether the artifact has the outputs that a method needs beside those of a layer."""
    missing = [need for need in _GRADIENTS if need in method.needs and not getattr(spec, need)]
    return not missing and ("attention" not in method.needs or spec.attention is not None)


def _runs_often(method: Method) -> bool:
    """Whether a method runs the model many times, or a part of it."""
    repeated = {"samples", "steps", "masks", "channels"} & method.options.keys()
    return bool(repeated) or "head" in method.needs


def _kind(spec: Spec) -> str:
    if spec.detector is not None:
        return "detector"
    if spec.score.kind == "similarity":
        return "similarity"
    return "classes" if spec.class_index is not None else "linear"


def _labels_by_output(spec: Spec) -> dict[str, list[str] | None] | None:
    """Return the class names of each output; None: only one is explained."""
    if spec.outputs is None:
        return None
    return {
        one.score.output: None if one.labels is None else list(one.labels) for one in spec.outputs
    }


def _weights(steps: Steps) -> list[int] | None:
    """Return the extents of the weights of one score, -1 where open; None: it has classes."""
    name = steps.session.spec.score_weights
    return None if name is None else [e or -1 for e in steps.session.inputs[name].shape[2:]]


def _grid(grid: Any) -> list[int] | None:
    return None if any(extent is None for extent in grid) else [int(extent) for extent in grid]


def _size(steps: Steps) -> tuple[int | None, int | None]:
    """Return height and width of the model's input; None where they are open."""
    transform = steps.session.spec.preprocess
    if transform is not None and transform.size:
        height, width = transform.size
        return int(height), int(width)
    shape = steps.session.inputs[steps.reader.main].shape
    last = transform is not None and transform.layout == "nhwc"
    if len(shape) != 4:
        return None, None
    return (shape[1], shape[2]) if last else (shape[2], shape[3])
