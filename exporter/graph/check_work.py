"""`check_work` refuses graphs that would take all memory or never end, before they are run."""

from __future__ import annotations

import math
import threading
from pathlib import Path
from typing import Any

import onnx_ir as ir

from ..errors import CaptureError
from .emitter import dims_of
from .infer_shapes import OPEN_SIZES, trial_feeds
from .ort_session import session_of

_MOST_ELEMENTS = 1 << 30  # of one tensor, for a batch of one: 4 GB of float32
_MOST_PORTS = 1000  # inputs and outputs; steps compare each with each
_SECONDS = 20.0  # of a first run, which takes far less than one on images that models are made for


def check_work(model: ir.Model, folder: Path, name: str) -> None:
    """Check a flat graph of known shapes.

    Args:
        model: The model; open axes of its inputs have names.
        folder: The folder of its external data.
        name: The file's, for the message.

    Raises:
        CaptureError: It has too many inputs and outputs, a tensor is too large, or a loop does not
            end.
    """
    ports = len(model.graph.inputs) + len(model.graph.outputs)
    if ports > _MOST_PORTS:
        raise CaptureError(
            f"{name} has {ports} inputs and outputs, more than {_MOST_PORTS}; export the model "
            "without those that need no explanation"
        )
    for value in [*model.graph.inputs, *(v for node in model.graph for v in node.outputs)]:
        dims = [] if value.shape is None else dims_of(value)
        size = math.prod(dim for dim in dims if isinstance(dim, int))
        if size > _MOST_ELEMENTS:
            raise CaptureError(
                f"{name}: the value {value.name!r} {dims} has {size} numbers, more than "
                f"{_MOST_ELEMENTS}; export the model at a smaller size"
            )
    if any(node.op_type == "Loop" for node in model.graph.all_nodes()):
        _check_ends(model, folder, name)


def _check_ends(model: ir.Model, folder: Path, name: str) -> None:
    """Check that a run ends; of a run that fails, later steps find out why."""
    import onnxruntime

    try:
        session: Any = session_of(model, folder)
    except Exception:  # ONNX Runtime's exceptions share no base of their own
        return
    for side in OPEN_SIZES:
        options, late = onnxruntime.RunOptions(), threading.Event()

        def stop(options: Any = options, late: threading.Event = late) -> None:
            late.set()
            options.terminate = True

        timer = threading.Timer(_SECONDS, stop)
        timer.start()
        try:
            session.run(None, trial_feeds(model.graph, side), options)
        except Exception:
            if late.is_set():
                raise CaptureError(
                    f"{name}: a run has not ended after {_SECONDS:.0f} s, and it has a Loop; give "
                    "a model whose loops end"
                ) from None
        else:
            return
        finally:
            timer.cancel()
