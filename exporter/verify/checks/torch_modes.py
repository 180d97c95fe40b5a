"""These modes watch a PyTorch model while it runs: what its activations make, and its casts."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Self

import torch
from torch.overrides import TorchFunctionMode

from ..runs.running import Array

_ACTIVATIONS = ("softmax", "log_softmax", "sigmoid")
_MOVES = (
    "transpose", "permute", "reshape", "view", "flatten", "unflatten", "squeeze", "unsqueeze",
    "movedim", "swapaxes", "contiguous", "clone",
)  # fmt: skip
_Move = Callable[[torch.Tensor], torch.Tensor]
_JOINS = ("cat", "concat", "concatenate")
_SELECTS = ("topk", "sort", "argsort", "argmax", "argmin")


def _moved(func: Any, args: Any, kwargs: Any, value: torch.Tensor) -> torch.Tensor:
    return func(value, *args, **kwargs)


class Logits(TorchFunctionMode):
    """Records the inputs of each softmax, sigmoid and concatenation, and what is only moved.

    Also which parts the model selects by size, see `selections`.
    """

    def __init__(self) -> None:
        super().__init__()
        # Names, results, arguments and axes, the last call first.
        self.calls: list[tuple[str, torch.Tensor, Any, int | None]] = []
        # Results of moves, what they move, and how to move something else likewise.
        self.moves: list[tuple[torch.Tensor, torch.Tensor, _Move]] = []
        # Indices that topk and the like give, in the order of the calls.
        self.selections: list[Array] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        name = getattr(func, "__name__", "")
        if name in _SELECTS:
            indices: torch.Tensor = result if isinstance(result, torch.Tensor) else result[1]
            self.selections.append(indices.numpy().copy())
        if isinstance(result, torch.Tensor) and (name in _ACTIVATIONS or name in _JOINS):
            source: Any = args[0] if args else kwargs.get("input", kwargs.get("tensors"))
            axis = kwargs.get("dim", args[1] if len(args) > 1 else None)
            axis = axis % result.dim() if isinstance(axis, int) else None
            self.calls.insert(0, (name, result, source, axis))
        elif isinstance(result, torch.Tensor) and name in _MOVES and args:
            again = partial(_moved, func, args[1:], kwargs)
            self.moves.insert(0, (result, args[0], again))
        return result

    def before(self, output: torch.Tensor, axis: int) -> torch.Tensor:
        """The input of the activation that made ``output``, moved alike; itself if none did.

        A softmax over another axis than the classes' makes no probabilities.
        """
        for name, result, source, along in self.calls:
            if name in _ACTIVATIONS and result is output and along in (axis, None):
                return source
        moved = self._before_moves(output)
        if moved is None:
            return output
        name, logits = moved
        whole = output.exp() if name == "log_softmax" else output
        sums = whole.detach().sum(axis)
        return (
            logits if name == "sigmoid" or torch.allclose(sums, torch.ones_like(sums)) else output
        )

    def _before_moves(self, output: torch.Tensor) -> tuple[str, torch.Tensor] | None:
        """The activation behind moves, and what it makes ``output`` of, moved alike."""
        for result, source, again in self.moves:
            if result is output and source is not output:
                for name, made, logits, _ in self.calls:
                    if name in _ACTIVATIONS and made is source:
                        return name, again(logits)
                inner = self._before_moves(source)
                return None if inner is None else (inner[0], again(inner[1]))
        return None

    def classes_of(self, output: torch.Tensor, axis: int, offset: int) -> torch.Tensor | None:
        """The last part of a concatenation, if it begins at ``offset``; see `class_part`."""
        for name, result, parts, along in self.calls:
            if name in _JOINS and result is output and (along or 0) == axis:
                before = sum(part.shape[axis] for part in parts[:-1])
                return parts[-1] if before == offset else None
        return None


class Widened(TorchFunctionMode):
    """Turns every cast to a float type in the model's own code into a cast to ``dtype``.

    A model that casts to float32 by itself (a normalisation, all Keras layers) would round the
    float64 reference. Tensors that it makes without a type get ``dtype`` too: zeros in float32
    cannot meet weights in float64.
    """

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype
        self._before: list[torch.dtype] = []

    def __enter__(self) -> Self:
        self._before.append(torch.get_default_dtype())
        torch.set_default_dtype(self.dtype)
        return super().__enter__()

    def __exit__(self, *raised: Any) -> None:
        torch.set_default_dtype(self._before.pop())
        super().__exit__(*raised)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(func, "__name__", "") in ("half", "bfloat16", "float"):
            return args[0].to(self.dtype)
        given = {key: self._wide(value) for key, value in (kwargs or {}).items()}
        return func(*(self._wide(value) for value in args), **given)

    def _wide(self, value: Any) -> Any:
        narrow = isinstance(value, torch.dtype) and value.is_floating_point
        return self.dtype if narrow else value
