"""`load_source` loads the command line's SOURCE: a model, its weights, transform and labels."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...runtime.inputs.no_model import why_no_model
from ...runtime.spec import Preprocess
from ..errors import CaptureError, first_line
from .attribute import attribute, called
from .checkpoint import CHECKPOINTS, load_script, load_weights
from .need_pytorch import need_pytorch
from .trust import need_trust
from .zoo_models import timm_model, torchvision_model

if TYPE_CHECKING:
    import torch
    from torch.export import ExportedProgram

FORMS = "torchvision:NAME, timm:NAME, package.module:factory, model.pt2, script.pt or model.onnx"
_ZOOS = {"torchvision": torchvision_model, "timm": timm_model}
_CONVERTERS = {
    **dict.fromkeys((".h5", ".keras"), "with model.export(path, format='onnx') of Keras"),
    **dict.fromkeys((".tflite", ".pb"), "with tf2onnx"),
    **dict.fromkeys((".mlmodel", ".mlpackage"), "from the model that it was made of"),
}


@dataclass(frozen=True)
class Source:
    """A model with its training transform and labels, if known.

    Attributes:
        model: The argument of `export`.
        name: Its name in the metadata.
        inputs: Example inputs; empty if the model contains its own.
        shapes: Extents at which open axes of an ONNX file are to be fixed, by input.
        preprocess: Its training transform, if known.
        labels: Class names, if known.
        notes: Notes for the user.
    """

    model: torch.nn.Module | ExportedProgram | Path
    name: str
    inputs: Sequence[Any] | Mapping[str, Any] = ()
    shapes: Mapping[str, Sequence[int | None]] | None = None
    preprocess: Preprocess | None = None
    labels: list[str] | None = None
    notes: list[str] = field(default_factory=list[str])


def is_file(text: str) -> bool:
    """Whether SOURCE is a file that holds a model with its weights and the shapes of its inputs."""
    return Path(text).suffix in (".onnx", ".pt2")


def load_source(
    text: str,
    weights: str | None = None,
    shape: Sequence[int] | Mapping[str, Sequence[int | None]] | None = None,
    recorded: Mapping[str, Sequence[int | None]] | None = None,
    *,
    trust: bool = False,
) -> Source:
    """Load or construct a model from its description.

    Args:
        text: One of `FORMS`.
        weights: File with a state dict (loaded with ``weights_only=True``), or the name of a
            weights that torchvision or timm publish, such as ``IMAGENET1K_V2`` or ``DEFAULT``.
        shape: Shape of the input without the batch axis, such as (3, 224, 224), or shapes by
            input; known for torchvision and timm. Of an ONNX file they fix open axes.
        recorded: Shapes by input that an artifact of the model has, for want of others. Example
            inputs that a factory returns count more: they have the values that the model takes.
        trust: Whether to load files that run code, .pt2 and TorchScript.

    Raises:
        CaptureError: The model cannot be loaded, must be trusted, or needs PyTorch, which is
            missing; the message says why.
    """
    path, shapes, recorded = Path(text), _by_input(shape), recorded or {}
    if path.suffix in _CONVERTERS:
        how = _CONVERTERS[path.suffix]
        raise CaptureError(f"{text} is no PyTorch or ONNX model; convert it to ONNX first, {how}")
    if reason := why_no_model(text):
        raise CaptureError(f"{text} {reason}; give {FORMS}")
    if is_file(text):
        if not path.is_file():
            raise CaptureError(f"no file {text}; give {FORMS}")
        if weights:
            raise CaptureError(f"{path.name} contains its own weights; leave --weights out")
        if path.suffix == ".onnx":
            return Source(path, path.stem, shapes=shapes or None)
        if shapes:
            raise CaptureError(f"{path.name} states the shapes of its inputs; leave --shape out")
        need_pytorch(text)
        need_trust(path, ".pt2", trust=trust)
        return Source(_load_program(path), path.stem)
    kind, _, name = text.partition(":")
    if path.suffix in CHECKPOINTS and (not name or path.is_file()):
        if weights:
            raise CaptureError(f"{path.name} contains its own weights; leave --weights out")
        need_pytorch(text)
        source = Source(load_script(path, trust=trust), path.stem)
        if not shapes and not recorded:
            raise CaptureError(
                f"the input of {text} is unknown; give --shape, such as --shape 3,224,224"
            )
        return _with_inputs(source, _closed(shapes or recorded))
    if not name:
        raise CaptureError(f"unknown source {text!r}; give {FORMS}")
    need_pytorch(text)
    known = _closed(shapes)
    source = (_zoo_model if kind in _ZOOS else _factory)(kind, name, weights)
    if not known and not (source.inputs and (kind not in _ZOOS or _is_open(recorded))):
        known = _closed(recorded)
    if known:
        source = replace(source, preprocess=_resized(source.preprocess, next(iter(known.values()))))
        return _with_inputs(source, known)
    if source.inputs:
        return source
    raise CaptureError(f"the input of {text} is unknown; give --shape, such as --shape 3,224,224")


def _is_open(shapes: Mapping[str, Sequence[int | None]]) -> bool:
    return any(None in one for one in shapes.values())


def _closed(shapes: Mapping[str, Sequence[int | None]]) -> dict[str, list[int]]:
    """Shapes whose extents are all given.

    Raises:
        CaptureError: An extent is open or below 1.
    """
    known = {key: [e for e in one if e is not None and e > 0] for key, one in shapes.items()}
    for key, one in shapes.items():
        if len(known[key]) < len(one):
            raise CaptureError(
                f"--shape {','.join('?' if e is None else str(e) for e in one)} has an extent that "
                "is open or below 1; give the shape of an input, such as --shape 3,224,224"
            )
    return known


def _resized(preprocess: Preprocess | None, shape: Sequence[int]) -> Preprocess | None:
    """Return the transform for another input size, with the resize scaled in proportion."""
    if preprocess is None or len(shape) != 3 or list(shape[1:]) == preprocess.size:
        return preprocess
    height, width = shape[1], shape[2]
    resize = preprocess.resize
    if resize is not None:
        scale = max(height / preprocess.size[0], width / preprocess.size[1])
        resize = [round(side * scale) for side in resize]
    return replace(preprocess, size=[height, width], resize=resize)


def _by_input(
    shape: Sequence[int] | Mapping[str, Sequence[int | None]] | None,
) -> Mapping[str, Sequence[int | None]]:
    """Shapes by input; a single one is that of the first, whose name is empty."""
    if isinstance(shape, Mapping):
        return shape
    return {} if shape is None else {"": shape}


def _with_inputs(source: Source, shapes: Mapping[str, Sequence[int]]) -> Source:
    """Add zeros as example inputs: the first positional argument, and others by keyword."""
    import torch

    made = {name: torch.zeros(1, *shape) for name, shape in shapes.items()}
    first = [made.pop("")] if "" in made else []
    if not made:
        return replace(source, inputs=tuple(first))
    return replace(source, inputs=(tuple(first), made) if first else made)


def _load_program(path: Path) -> ExportedProgram:
    import torch

    logger = logging.getLogger("torch.export")  # it prints the traceback of what it then raises
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        return torch.export.load(path)
    except Exception as error:
        reason = first_line(error)
        if "weights" in reason.lower():  # PyTorch advises to load them as objects that run code
            reason = "its weights are Python objects"
        raise CaptureError(
            f"cannot read {path.name} as an exported program: {reason}; write it again with "
            "torch.export.save, by this version of PyTorch"
        ) from error
    finally:
        logger.setLevel(level)


def _zoo_model(kind: str, name: str, weights: str | None) -> Source:
    """Make a model of torchvision or timm, with its example input."""
    made = _ZOOS[kind](name, weights)
    source = Source(
        made.model, f"{kind}:{name}", preprocess=made.preprocess, labels=made.labels,
        notes=made.notes,
    )  # fmt: skip
    return _with_inputs(source, {"": made.shape})


def _factory(module: str, name: str, weights: str | None) -> Source:
    """Call ``module:name()``; see `attribute` for where the module may lie.

    It returns a model, or a pair of a model and its example inputs, as `export` takes them.
    """
    factory = attribute(module, name)
    made = called(factory, f"{module}:{name}")
    import torch

    model, inputs = made if isinstance(made, tuple) and len(made) == 2 else (made, ())
    if not isinstance(model, torch.nn.Module):
        raise CaptureError(
            f"{module}:{name} returns a {type(model).__name__}, not a torch.nn.Module"
        )
    if weights is not None:
        load_weights(model, Path(weights))
    return Source(model, f"{module}:{name}", (inputs,) if torch.is_tensor(inputs) else inputs)
