"""`capture_module` runs PyTorch's exporter with forward hooks at the target layers."""

from __future__ import annotations

import contextlib
import itertools
import logging
import warnings
from collections.abc import Generator, Sequence

import onnx_ir as ir
import torch
from torch import nn

from ...runtime.errors import GraftcamError
from ...runtime.settings import TorchExport
from ..errors import CaptureError
from ..graph.emitter import dims_of
from ..graph.inline import infer_shapes
from ..graph.sequences import resolve_sequences
from ..graph.write_out import write_out
from ..memory import paused_collector
from ..source.layer_taps import read_name
from ..source.own_copy import own_copy
from ..source.torch_inputs import ModuleInputs
from ..source.torch_module import run_module
from .bounds_apart import bounds_apart
from .dynamic_axes import check_open, check_sizes, open_axes
from .layer_outputs import Tapped, guard_taps, take_taps
from .onnx_file import SCOPES, Captured
from .open_lengths import open_lengths
from .programs import Program, Programs, key_of
from .torch_translations import translations
from .unused_sizes import without_unused_sizes

_WRAPPED = "graftcam_model"  # the attribute of `Tapped`, which shows in names


def capture_module(
    module: nn.Module, inputs: ModuleInputs, layers: Sequence[str], trace: TorchExport,
    programs: Programs | None = None,
) -> Captured:  # fmt: skip
    """Export ``module`` with forward hooks that return the outputs of the target layers.

    Args:
        module: Any module; it is exported in eval mode and not changed.
        inputs: Example inputs of ``forward``.
        layers: Layers' names; see `layer_of`.
        trace: How to export it.
        programs: What was exported before is taken from here, and kept for the next export.

    Raises:
        LayerError: A layer is unknown, or does not return a tensor.
        CaptureError: PyTorch cannot export the model; the error quotes its message.
    """
    for name in layers:
        read_name(module, name)
    names = list(trace.input_names or inputs.names(module))
    if len(names) != len(inputs.tensors):
        raise CaptureError(
            f"{len(names)} input names for {len(inputs.tensors)} tensors among the example inputs; "
            "give one for each"
        )
    key = None if programs is None else key_of(module, inputs, layers, trace)
    program = None if programs is None or key is None else programs.find(key)
    if program is None:
        program = _exported(module, inputs, layers, trace, names)
        if programs is not None and key is not None:
            programs.keep(key, program)
    model = program.model
    targets = take_taps(model.graph, layers)
    if any(v.shape is None or None in dims_of(v) for node in model.graph for v in node.outputs):
        # The adjoint of a broadcast needs to know which extents are 1.
        infer_shapes(model)
    write_out(model.graph)
    _rename(model.graph, trace.output_names, program.keys)
    _clean(model.graph)
    notes = ["the model is in training mode; its evaluation mode is exported"] * module.training
    notes += [
        f"layer {path!r} is called {count} times; its last call is explained"
        for path, count in program.calls.items()
        if count > 1
    ]
    return Captured(model, targets, module, inputs, notes)


def _exported(
    module: nn.Module, inputs: ModuleInputs, layers: Sequence[str], trace: TorchExport,
    names: Sequence[str],
) -> Program:  # fmt: skip
    """What PyTorch's exporter and optimiser make of the module, with taps."""
    calls: dict[str, int] = {}
    keys: list[str] = []
    examples = _distinct(_several(inputs) if trace.dynamic_batch else inputs)
    tapped = Tapped(own_copy(module), layers, examples.with_tensors, calls.update, keys.extend)
    shapes = open_axes(examples, batch=trace.dynamic_batch, size=trace.dynamic_size)
    try:
        if trace.dynamic_size:
            check_sizes(own_copy(module), examples)
        with _quiet(), without_unused_sizes(), open_lengths(tapped), paused_collector():
            program = torch.onnx.export(
                tapped.eval(), tuple(examples.tensors), dynamo=True, verbose=False,
                opset_version=trace.opset, dynamic_shapes=(shapes,), input_names=list(names),
                optimize=False, custom_translation_table=translations(),
            )  # fmt: skip
            assert program is not None
            guard_taps(program.model.graph, len(layers))
            with bounds_apart(program.model.graph):
                program.optimize()
            define_constants(program.model.graph)
            resolve_sequences(program.model)
            check_open(program.model.graph, shapes)
    except Exception as error:
        with torch.no_grad():
            run_module(own_copy(module), inputs)  # if it cannot be run at all, that is the reason
            tapped(*inputs.tensors)  # or if a layer does not return what is asked for
        _raise_own(error)
        cause = str(error.__cause__ or error).strip().splitlines()
        reason = next((line for line in cause if line.strip()), type(error).__name__)
        used = [f"{o}=False" for o in ("dynamic_batch", "dynamic_size") if getattr(trace, o)]
        hint = f" ({' or '.join(reversed(used))} may help)" if used else ""
        raise CaptureError(f"PyTorch cannot export this model: {reason}{hint}") from error
    return Program(program.model, calls, keys)


def define_constants(graph: ir.Graph) -> None:
    """Add initializers for constants that nodes read and the graph does not define.

    PyTorch's ONNX optimiser creates such constants when it moves the bounds of a Clip (onnxscript
    0.7, Gemma 4's vision model), and no runtime loads the graph.
    """
    known = {*graph.inputs, *graph.initializers.values()}
    for node in graph:
        for value in node.inputs:
            if value is None or value in known or value.producer() is not None:
                continue
            if value.const_value is not None:
                base, number = value.name or "constant", 1
                while value.name in graph.initializers:
                    value.name, number = f"{base}_{number}", number + 1
                graph.register_initializer(value)
                known.add(value)


def _raise_own(error: BaseException | None) -> None:
    """Raise graftcam's error that caused PyTorch's, if there is one."""
    while error is not None:
        if isinstance(error, GraftcamError):
            raise error
        error = error.__cause__ or error.__context__


def _several(inputs: ModuleInputs) -> ModuleInputs:
    """Repeat a batch of one: tracing would treat it as a constant.

    There are as many copies as no other tensor has rows (two, if possible), such as the texts that
    every image is compared with: tracing would take them for the batch.
    """
    if inputs.batch != 1:
        return inputs
    taken = {x.shape[0] for x in inputs.tensors if x.dim() and not inputs.has_batch(x)}
    copies = next(count for count in itertools.count(2) if count not in taken)
    return inputs.with_tensors(
        [torch.cat([x] * copies) if inputs.has_batch(x) else x for x in inputs.tensors]
    )


def _distinct(inputs: ModuleInputs) -> ModuleInputs:
    """Tensors of their own: tracing would make one input of a tensor that is given twice."""
    return inputs.with_tensors([tensor.detach().clone() for tensor in inputs.tensors])


@contextlib.contextmanager
def _quiet() -> Generator[None]:
    """Silence the exporter's progress and deprecation messages."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "torch.export")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


def _rename(graph: ir.Graph, output_names: Sequence[str] | None, keys: Sequence[str]) -> None:
    """Remove the wrapper from names, and name the outputs.

    Args:
        graph: The graph.
        output_names: The outputs' names.
        keys: Names to use otherwise, unless the graph has them already.
    """
    # A buffer may be called as PyTorch calls a result: ``mean``, and that of ``x.mean()``.
    taken = {value.name for value in graph.inputs}
    taken |= {value.name for node in graph for value in node.outputs}
    for name, value in list(graph.initializers.items()):
        plain = name.removeprefix(f"{_WRAPPED}.")
        if plain != name and plain not in graph.initializers and plain not in taken:
            value.name = plain
    if output_names:
        if len(output_names) != len(graph.outputs):
            raise CaptureError(
                f"{len(output_names)} output names for {len(graph.outputs)} outputs; "
                "give one for each"
            )
        for value, name in zip(graph.outputs, output_names, strict=True):
            value.name = name
        return
    taken |= {value.name for value in graph.initializers.values()}
    keys = keys[-len(graph.outputs) :]
    for value, name in zip(graph.outputs, keys, strict=False):
        if name not in taken:
            value.name = name


def _clean(graph: ir.Graph) -> None:
    """Remove the wrapper from the recorded module paths."""
    for node in graph:
        if scopes := node.metadata_props.get(SCOPES):
            scopes = scopes.replace(f"'{_WRAPPED}.", "'").replace(f"'{_WRAPPED}', ", "")
            node.metadata_props[SCOPES] = scopes
