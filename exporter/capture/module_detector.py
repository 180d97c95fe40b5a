"""`capture_detector` captures a PyTorch detector: its layers are found in its graph.

A classifier's layer is chosen before its capture. A detector's layers follow from its graph, which
is exported twice: once to recognise it and to find the levels, and again with a hook at the module
of each level, so that layers have a module's name and can be verified in PyTorch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnx_ir as ir

from ...runtime.settings import TorchExport
from ..errors import CaptureError, ScoreError
from ..locate.detectors.detection import LevelFound
from ..source.settings import ExportSettings
from ..source.torch_module import module_of
from .detectors import choose_levels, locate_detector, may_be_detector
from .onnx_file import Captured

if TYPE_CHECKING:
    import torch

    from ..source.torch_inputs import ModuleInputs
    from .model import Model
    from .programs import Programs


def capture_detector(
    model: Model,
    example_inputs: Sequence[Any] | Mapping[str, Any] | None,
    settings: ExportSettings,
    progress: Callable[[str], None],
    programs: Programs | None = None,
) -> Captured | None:
    """Capture a module that returns boxes; None for files, and for other modules.

    For ``programs`` see `capture_module`.

    Raises:
        CaptureError: It cannot be captured.
        ScoreError: It is a detector, but of no known format, or it suppresses boxes inside.
    """
    if isinstance(model, (str, Path)) or settings.shapes or not may_be_detector(settings):
        return None
    module, inputs = module_of(model, example_inputs)
    trace = settings.trace or TorchExport()
    if settings.detector == "before_nms":
        module = _before_nms(module, inputs, trace)
    elif not _returns_boxes(module, inputs):
        return None
    from ..source.torch_detectors import module_facts
    from .torch_export import capture_module

    def captured_with(layers: Sequence[str]) -> Captured:
        found = capture_module(module, inputs, layers, trace, programs)
        found.model.metadata_props.update(module_facts(module))
        return found

    progress("capture")
    if settings.layers:
        return captured_with(settings.layers)
    first = captured_with([])
    located = locate_detector(first, settings)
    if located is None:
        return None
    progress("locate")
    levels = choose_levels(first, located, context=settings.context)
    names = _layer_names(first, levels)
    if not names:
        return replace(first, levels=levels)
    progress("capture")
    second = captured_with(names)
    found = [
        replace(level, value=second.targets[name])
        for level, name in zip(levels, names, strict=True)
    ]
    return replace(second, levels=found)


def _before_nms(
    module: torch.nn.Module, inputs: ModuleInputs, trace: TorchExport
) -> torch.nn.Module:
    """The module without its suppression of boxes.

    Raises:
        CaptureError: It is no such module, or its inputs are no images of one size.
    """
    from ..source.before_nms import BeforeNms
    from ..source.own_copy import own_copy

    image = inputs.image
    if len(inputs.tensors) != 1 or image is None or image.dim() != 4:
        raise CaptureError(
            f"detector='before_nms' takes images [N, 3, height, width] of one size, not "
            f"({inputs}); give example_inputs such as (torch.rand(1, 3, 480, 640),)"
        )
    if trace.dynamic_size:
        raise CaptureError(
            "detector='before_nms' makes the anchors of one image size; leave dynamic_size "
            "(--dynamic-size) out"
        )
    return BeforeNms(own_copy(module), image).eval()


def _returns_boxes(module: torch.nn.Module, inputs: ModuleInputs) -> bool:
    """Whether a forward pass returns what a detector does.

    Raises:
        ScoreError: It returns boxes that are left of a suppression inside.
    """
    import torch

    from ..source.own_copy import own_copy
    from ..source.torch_detectors import is_suppressed, looks_like_detector

    with torch.no_grad():
        try:
            result = inputs.call(own_copy(module))
        except Exception:
            return False  # the capture says why, in its own words
    if is_suppressed(result):
        raise ScoreError(
            f"{type(module).__name__} returns the boxes that its suppression of overlapping boxes "
            "leaves, which has no gradient; give detector='before_nms' (--detector before_nms) to "
            "explain all boxes before it"
        )
    return looks_like_detector(result, inputs)


def _layer_names(captured: Captured, levels: Sequence[LevelFound]) -> list[str]:
    """The modules whose outputs the levels are; empty, with a note, if one has none."""
    from .module_names import modules_of

    assert captured.module is not None
    assert captured.inputs is not None
    values = [level.value for level in levels]
    names = modules_of(captured.model, values, captured.module, captured.inputs)
    known = [name for name in names if name is not None]
    if len(set(known)) == len(levels):
        return known
    lost = ", ".join(_shown(value) for value, name in zip(values, names, strict=True) if not name)
    captured.notes.append(
        f"no module returns {lost or 'each level by itself'}: the layers go by the names of the "
        "graph's values, and are not compared with PyTorch"
    )
    return []


def _shown(value: ir.Value) -> str:
    return f"{value.name!r}"
