"""A TorchScript module has no Python code to trace; PyTorch's older exporter makes a file of it."""

from __future__ import annotations

import contextlib
import tempfile
import warnings
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from ...runtime.settings import TorchExport
from ..errors import CaptureError, first_line
from ..graph.ort_session import session_of

if TYPE_CHECKING:
    import torch

_TOLERANCE = 1e-3  # relative, of outputs in float32: another kernel rounds otherwise
NOTE = "TorchScript: exported as an ONNX file, whose layers go by its own names"


@contextlib.contextmanager
def file_of_script(
    model: Any, example_inputs: Sequence[Any] | Mapping[str, Any] | None, trace: TorchExport | None
) -> Generator[Path | None]:
    """Write a TorchScript module as an ONNX file that exists as long as the context.

    Args:
        model: A model of any kind.
        example_inputs: Inputs of the module's ``forward``.
        trace: Axes, names and opset of the file.

    Yields:
        The file; None for a model of another kind.

    Raises:
        CaptureError: PyTorch cannot export it, or the file gives other outputs.
    """
    if not is_script(model):
        yield None
        return
    if not isinstance(example_inputs, (tuple, list)):
        example_inputs = () if example_inputs is None else (example_inputs,)
    if not example_inputs:
        raise CaptureError(
            "example_inputs are missing; give a tuple such as (torch.randn(1, 3, 224, 224),), or "
            "--shape"
        )
    with tempfile.TemporaryDirectory(prefix="graftcam-") as folder:
        path = Path(folder) / "script.onnx"
        _write(model, example_inputs, trace or TorchExport(), path)
        yield path


def is_script(model: object) -> bool:
    """Whether this is a TorchScript module; PyTorch is not imported to find out."""
    return any(
        kind.__name__ in ("ScriptModule", "RecursiveScriptModule")
        for kind in type(model).__mro__
        if kind.__module__.startswith("torch.")
    )


def _write(
    model: torch.jit.ScriptModule, inputs: Sequence[Any], trace: TorchExport, path: Path
) -> None:
    import torch

    from ..source.torch_outputs import tensors_of

    others = [type(x).__name__ for x in inputs if not isinstance(x, torch.Tensor)]
    if others:
        raise CaptureError(
            f"this TorchScript module takes {', '.join(others)} beside tensors, which become no "
            "inputs of a graph; give the nn.Module that it was made of"
        )
    examples = tuple(
        torch.cat([x, x]) if trace.dynamic_batch and x.dim() and x.shape[0] == 1 else x
        for x in inputs
    )
    names = list(trace.input_names or _names(model, len(examples)))
    axes = {name: {0: "batch"} for name in names} if trace.dynamic_batch else {}
    if trace.dynamic_size:
        for name, example in zip(names, examples, strict=True):
            sizes = {axis: f"size_{axis}" for axis in range(2, example.dim())}
            axes[name] = {**axes.get(name, {}), **sizes}
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            wanted = [one.numpy() for one in tensors_of(model(*examples))]
            torch.onnx.export(
                model, examples, path, dynamo=False, opset_version=trace.opset, input_names=names,
                output_names=trace.output_names, dynamic_axes=axes,
            )  # fmt: skip
    except Exception as error:
        raise CaptureError(
            f"PyTorch cannot export this TorchScript module: {first_line(error)}; give the "
            "nn.Module that it was made of"
        ) from error
    feeds = {name: one.numpy() for name, one in zip(names, examples, strict=True)}
    found = session_of(ir.load(path), path.parent).run(None, feeds)
    for one, other in zip(found, wanted, strict=False):
        error = np.abs(one - other).max() if one.shape == other.shape else np.inf
        if error > _TOLERANCE * (1 + np.abs(other).max()):
            raise CaptureError(
                f"PyTorch's exporter changes the outputs of this TorchScript by {error:.2g}; "
                "give the nn.Module that it was made of"
            )


def _names(model: torch.jit.ScriptModule, count: int) -> list[str]:
    """The names of forward's parameters, as far as TorchScript records them."""
    schema = getattr(model.forward, "schema", None)
    recorded = [] if schema is None else [str(one.name) for one in schema.arguments[1:]]
    fits = len(recorded) >= count and all(name.isidentifier() for name in recorded[:count])
    return recorded[:count] if fits else [f"input_{number}" for number in range(count)]
