"""`ModuleInputs` is what a PyTorch module is called with: tensors, also in dicts and lists."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import nn

from .nested import Path, parts_of, with_part

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
_LEAST_IMAGE = 3  # axes: [N, C, length]


@dataclass(frozen=True)
class ModuleInputs:
    """The arguments of a module's ``forward``.

    Its tensors, in this order, are the inputs of the graph. All else (numbers, None, texts) is
    constant.

    Attributes:
        args: Positional arguments.
        kwargs: Keyword arguments.
    """

    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @classmethod
    def of(cls, given: ModuleInputs | Sequence[Any]) -> ModuleInputs:
        """Positional arguments as a record; a record is returned unchanged."""
        return given if isinstance(given, ModuleInputs) else cls(tuple(given))

    @property
    def tensors(self) -> list[torch.Tensor]:
        """All tensors inside."""
        return [tensor for _, tensor in self._places()]

    @property
    def image(self) -> torch.Tensor | None:
        """The first float tensor with three axes or more, else the first with any axis."""
        found = [tensor for tensor in self.tensors if tensor.dim()]
        return next(iter(self._images()), found[0] if found else None)

    @property
    def has_one_image(self) -> bool:
        """Whether just one float tensor has three axes or more."""
        return len(self._images()) == 1

    @property
    def batch(self) -> int | None:
        """The extent of the batch: that of the image's first axis."""
        return None if self.image is None else self.image.shape[0]

    def has_batch(self, tensor: torch.Tensor) -> bool:
        """Whether the first axis of one of the tensors is the batch.

        Others are the same for all images, such as the texts that every image is compared with.
        """
        return tensor.dim() > 0 and tensor.shape[0] == self.batch

    def with_tensors(self, tensors: Sequence[torch.Tensor]) -> ModuleInputs:
        """The same with other tensors, in the same order."""
        call: Any = (self.args, dict(self.kwargs))
        for (path, _), tensor in zip(self._places(), tensors, strict=True):
            call = with_part(call, path, tensor)
        return ModuleInputs(*call)

    def call(self, module: nn.Module) -> Any:
        """Run ``module`` on copies of the tensors: it may work on its input in place."""
        own = self.with_tensors([tensor.clone() for tensor in self.tensors])
        return module(*own.args, **own.kwargs)

    def names(self, module: nn.Module) -> list[str]:
        """A name for each tensor.

        That is the parameter of ``forward``; in a dict the key, and in a list the list's name and
        the place: ``images_0``. Where two would have one name, the names of what contains them
        come before.
        """
        positions = _parameters(module, _POSITIONAL)
        if len(positions) < len(self.args):
            positions = [f"input_{place}" for place in range(len(self.args))]
        paths = [
            (positions[key] if part == 0 else key, *rest)
            for (part, key, *rest), _ in self._places()
        ]
        short = [_short(path) for path in paths]
        counts = Counter(short)
        return [
            name if counts[name] == 1 else "_".join(map(str, path))
            for name, path in zip(short, paths, strict=True)
        ]

    def __str__(self) -> str:
        """Types and shapes, for messages."""
        named = [f"{name}={_described(value)}" for name, value in self.kwargs.items()]
        return ", ".join([*map(_described, self.args), *named])

    def _images(self) -> list[torch.Tensor]:
        floats = [tensor for tensor in self.tensors if tensor.is_floating_point()]
        return [tensor for tensor in floats if tensor.dim() >= _LEAST_IMAGE]

    def _places(self) -> list[tuple[Path, torch.Tensor]]:
        found = parts_of((self.args, dict(self.kwargs)))
        return [(path, part) for path, part in found if isinstance(part, torch.Tensor)]


def bound_inputs(module: nn.Module, given: Sequence[Any] | Mapping[str, Any]) -> ModuleInputs:
    """Read the example inputs that a user gave as the arguments of ``forward``.

    A sequence holds positional arguments. A dict holds keyword arguments, unless forward knows none
    of them and takes one argument, which is a dict then. A pair of a sequence and a dict whose keys
    are parameters of forward holds both.
    """
    signature = inspect.signature(module.forward)
    if isinstance(given, Mapping):
        named = {str(key): value for key, value in given.items()}
        try:
            signature.bind(**named)
        except TypeError:
            known = _parameters(module, _NAMED)
            if len(_parameters(module, _POSITIONAL)) == 1 and named.keys().isdisjoint(known):
                return ModuleInputs((dict(given),))
        return ModuleInputs((), named)
    if len(given) == 2 and isinstance(given[0], (tuple, list)) and isinstance(given[1], Mapping):
        first, second = cast("tuple[Sequence[Any], Mapping[Any, Any]]", tuple(given))
        free = _parameters(module, _NAMED)[len(first) :]
        if second and all(key in free for key in second):
            return ModuleInputs(tuple(first), dict(second))
    return ModuleInputs(tuple(given))


def _parameters(module: nn.Module, kinds: Sequence[Any]) -> list[str]:
    parameters = inspect.signature(module.forward).parameters
    return [name for name, parameter in parameters.items() if parameter.kind in kinds]


def _short(path: Path) -> str:
    """The last key, and the places in lists after it."""
    name = str(path[0])
    for key in path[1:]:
        name = f"{name}_{key}" if isinstance(key, int) else str(key)
    return name


def _described(value: Any) -> str:
    shape, kind = getattr(value, "shape", None), getattr(value, "dtype", "")
    if shape is not None:  # a tensor, or a numpy array in its place
        return f"{type(value).__name__} {str(kind).removeprefix('torch.')} {list(shape)}"
    if isinstance(value, Mapping):
        entries = cast("Mapping[Any, Any]", value).items()
        return "{" + ", ".join(f"{key}: {_described(part)}" for key, part in entries) + "}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(_described(part) for part in cast('Sequence[Any]', value))}]"
    return type(value).__name__
