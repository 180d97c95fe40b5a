"""Looking for target layers in a PyTorch module: run it once and see what each layer gives.

Every module's output is watched with a forward hook during one forward and backward pass. A
layer qualifies if its output has spatial extent and the score's gradient reaches it.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from ..graph.precision import FLOAT16_SCALE
from ..source.torch_layers import named_layers
from ..source.torch_outputs import class_sums, score_of
from .candidate import Candidate
from .layout import halved, token_grid

# Modules that only move, thin out or pass on what an earlier layer computed.
_PASSIVE = ("Pool", "Dropout", "DropPath", "Identity", "Flatten", "Upsample", "Pad")

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_UNCONNECTED = "not connected to the score"
_NO_GRADIENT = "the score's gradient is zero at every place"


@dataclass
class _Call:
    """One call of one module.

    Attributes:
        path: Module path.
        kind: Class name.
        output: What the module returned.
        convolution: Whether the module is one.
        origin: The first call that returned the same tensor; itself if none did.
    """

    path: str
    kind: str
    output: torch.Tensor
    convolution: bool = False
    origin: _Call | None = None

    @property
    def source(self) -> _Call:
        return self.origin or self


def scan(
    module: nn.Module,
    args: Sequence[Any],
    kwargs: Mapping[str, Any] | None = None,
    *,
    output: str | None = None,
    output_names: Sequence[str] | None = None,
) -> list[Candidate]:
    """List the layers of ``module``, the automatic choice first.

    Later layers come first, since their features are the most abstract; among modules that
    return the same tensor the outermost one gives its name. Layers that do not qualify follow
    with the reason.
    """
    calls, score = _watch(module, args, kwargs or {}, output, output_names)
    maps = score.shape[1] if score.dim() > 2 else None
    groups: dict[int, list[_Call]] = {}
    for call in calls:
        groups.setdefault(id(call.source), []).append(call)
    spatial = [call for call in calls if call.output.dim() > 3]
    # Attention has four axes, too, but two of them are tokens or channels.
    convolved = [call for call in spatial if call.convolution] or spatial
    # Each once: every layer below is held against them.
    grids = sorted({tuple(call.output.shape[2:]) for call in convolved})
    widths: dict[int, Counter[int]] = {}
    for call in calls:
        if call.output.dim() == 3:
            widths.setdefault(call.output.shape[1], Counter())[call.output.shape[2]] += 1
    trunks = {count: found.most_common(1)[0][0] for count, found in widths.items()}
    picture = next((tuple(x.shape) for x in args if isinstance(x, torch.Tensor) and x.dim()), (0,))
    candidates = [_judge(group, grids, trunks, picture, maps) for group in groups.values()]
    candidates.reverse()
    _explain_choice(candidates)
    return sorted(candidates, key=lambda candidate: not candidate.usable)


def _explain_choice(candidates: list[Candidate]) -> None:
    """Tell beside the automatic choice why no layer after it was taken (latest layers first)."""
    best = next((i for i, candidate in enumerate(candidates) if candidate.usable), 0)
    for later in reversed(candidates[:best]):
        if later.reason in (_NO_GRADIENT, _UNCONNECTED):
            note = f"{candidates[best].reason}; not so at {later.name} after it: {later.reason}"
            candidates[best] = replace(candidates[best], reason=note)
            return


def _watch(
    module: nn.Module,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    output: str | None,
    output_names: Sequence[str] | None,
) -> tuple[list[_Call], torch.Tensor]:
    """Run forward and backward; return the calls as they ended, and the class scores."""
    module = copy.deepcopy(module).eval().requires_grad_(False)
    calls: list[_Call] = []

    def record(path: str, layer: nn.Module, output: object) -> object:
        if not isinstance(output, torch.Tensor) or not output.is_floating_point():
            return output
        # The same tensor, unless an in-place operation has changed it on the way.
        handed, origin = passed.get(id(output), (None, None))
        unchanged = handed is not None and handed._version == 0
        kind, convolves = type(layer).__name__, isinstance(layer, _CONVOLUTIONS)
        call = _Call(path, kind, output, convolves, origin if unchanged else None)
        calls.append(call)
        # A clone, so that a later in-place activation cannot change what this layer gave.
        clone = output.clone()
        passed[id(clone)] = (clone, call.source)
        return clone

    passed: dict[int, tuple[torch.Tensor, _Call]] = {}
    for path, layer in named_layers(module).items():
        layer.register_forward_hook(lambda layer, _, output, path=path: record(path, layer, output))
    noise = torch.Generator().manual_seed(0)
    inputs = [_leaf(argument, noise) for argument in args]
    with torch.enable_grad():
        result = module(*inputs, **kwargs)
        score = score_of(result, output, output_names)
        for call in calls:
            if call.output.requires_grad:
                call.output.retain_grad()
        if score.requires_grad:
            best = class_sums(score).amax(dim=1)
            best.backward(torch.full_like(best, FLOAT16_SCALE))
    return calls, score


def _leaf(argument: Any, noise: torch.Generator) -> Any:
    """Noise in the shape of a float example: one of zeros could make every gradient vanish."""
    if isinstance(argument, torch.Tensor) and argument.is_floating_point():
        drawn = torch.randn(argument.shape, generator=noise, dtype=torch.float32)
        return drawn.to(argument.dtype).requires_grad_(True)
    return argument


def _judge(
    group: Sequence[_Call],
    grids: Sequence[tuple[int, ...]],
    trunks: Mapping[int, int],
    picture: tuple[int, ...],
    maps: int | None,
) -> Candidate:
    """Decide on the calls that returned one tensor.

    Args:
        group: The calls.
        grids: Spatial extents of convolutions, on which other layers may stand as well.
        trunks: Width of most layers by their number of tokens; what is wider or narrower is a
            projection in a block.
        picture: Shape of the input.
        maps: Number of classes, where the scores have positions.
    """
    source = group[0].source
    named = min(group, key=lambda call: (call.path.count("."), len(call.path)))
    tensor = source.output
    shape = tuple(tensor.shape)

    def verdict(usable: bool, reason: str) -> Candidate:
        return Candidate(named.path, named.kind, shape, usable, reason)

    if tensor.dim() not in (3, 4, 5):
        return verdict(False, "no spatial axes")
    if shape[0] != picture[0]:
        return verdict(False, "its first axis is not the batch (a window partition, perhaps)")
    tokens = token_grid(shape[1], grids, picture[2:]) if tensor.dim() == 3 else None
    if tensor.dim() == 3 and tokens is None:
        return verdict(False, "no grid fits its tokens")
    if tokens is not None and (shape[2] != trunks[shape[1]] or source.kind == "Linear"):
        return verdict(False, f"a projection inside a block of width {trunks[shape[1]]}")
    if tensor.dim() > 3 and not {shape[2:], shape[1:-1]} & halved(grids):
        return verdict(False, "no convolution has its grid")
    if tensor.dim() > 3 and (
        all(extent == 1 for extent in shape[2:]) or all(extent == 1 for extent in shape[1:-1])
    ):
        return verdict(False, "no spatial extent left")
    if tensor.grad is None:
        return verdict(False, _UNCONNECTED)
    spatial = tensor.grad if tokens is None else tensor.grad[:, tokens[1] :]
    if not bool(spatial.any()):
        return verdict(False, _NO_GRADIENT)
    if shape[1] == maps and bool((tensor.grad.flatten(2).any(2).sum(1) <= 1).all()):
        return verdict(False, "a map for each class: the scores themselves")
    if any(word in source.kind for word in _PASSIVE):
        return verdict(False, f"{source.kind} computes no features of its own")
    return verdict(True, "spatial extent, and the score's gradient reaches it")
