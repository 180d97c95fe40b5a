"""This module lists the layers of a PyTorch module: it runs it once and records their outputs.

A forward hook records every module's output during one forward and backward pass. `layer_rules`
decides on the records.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import nn

from ...runtime.settings import Score
from ..graph.precision import FLOAT16_SCALE
from ..source.layer_taps import joined_name, maps_in
from ..source.nested import Path, parts_of, with_part
from ..source.own_copy import own_copy
from ..source.torch_inputs import ModuleInputs
from ..source.torch_layers import named_layers
from ..source.torch_module import run_module
from .arrangement import Arrangement
from .candidate import Candidate
from .channel_side import Side
from .layer_rules import BLIND, LayerFacts, Surroundings, judge_layer, misplaced, ranked
from .layout import rows_or_tokens
from .places import Dependence
from .score_rules import check_flat
from .torch_output_facts import score_of
from .torch_places import measure_places

# Modules that only move, thin out or pass on what an earlier layer computed.
_PASSIVE = ("Pool", "Dropout", "DropPath", "Identity", "Flatten", "Upsample", "Pad")

_AT_ONCE = 6  # layers whose places are shown together

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


@dataclass
class _Call:
    """A tensor that one call of one module gave.

    Attributes:
        path: Module path.
        kind: Class name.
        output: The tensor.
        number: Which call of the module, from 1.
        place: Where it is in what the module returned; none if it is all, or the only map.
        whole: Whether the module returned nothing else.
        convolution: Whether the module is one.
        origin: The first call that returned the same tensor; itself if none did.
    """

    path: str
    kind: str
    output: torch.Tensor
    number: int
    place: Path = ()
    whole: bool = True
    convolution: bool = False
    origin: _Call | None = None

    @property
    def source(self) -> _Call:
        return self.origin or self

    @property
    def unnumbered(self) -> str:
        """The tensor's name, if the module is called once."""
        return joined_name(self.path, None, self.place)


def scan(
    module: nn.Module,
    inputs: ModuleInputs,
    score: Score,
    *,
    labels: int | None = None,
    names: Sequence[str] | None = None,
    flat: bool = False,
) -> tuple[list[Candidate], str]:
    """List the layers of ``module``, the automatic choice first; see `layer_rules.ranked`.

    The second result says what is scored, and why.

    Modules that return the same tensor count once, under the outermost one's name.

    Args:
        module: The module.
        inputs: Its example inputs.
        score: What to explain.
        labels: Number of labels, if there are any.
        names: Names of the outputs; see `score_of`.
        flat: Refuse scores with positions; see `score_rules.check_flat`.
    """
    calls, table, reason = _watch(module, inputs, score, labels, names)
    if flat:
        check_flat(score.outputs[0], table.shape)
    groups: dict[int, list[_Call]] = {}
    for call in calls:
        groups.setdefault(id(call.source), []).append(call)
    spatial = [call for call in calls if call.output.dim() > 3 or call.convolution]
    # Attention has four axes, too, but two of them are tokens or channels.
    convolved = [call for call in spatial if call.convolution] or spatial
    # Each once: every layer below is compared with them.
    grids = sorted({tuple(call.output.shape[2:]) for call in convolved})
    tokens = [tuple(call.output.shape) for call in calls if call.output.dim() == 3]
    around = Surroundings.of(grids, tokens)
    image: tuple[int, ...] = (0,) if inputs.image is None else tuple(inputs.image.shape)
    # The image first; a layer of another input may have that one's places.
    shapes = list(dict.fromkeys([image, *(tuple(x.shape) for x in inputs.tensors if x.dim() > 1)]))
    maps = table.shape[1] if table.dim() > 2 else None
    repeated = {call.path for call in calls if call.number > 1}
    rows = {
        witness.unnumbered
        for group in groups.values()
        if group[0].output.dim() == 3 and (witness := _witness(group, repeated)) is not None
    }
    places = measure_places(module, inputs, rows) if rows else {}
    facts = (_facts(group, repeated, grids, shapes, maps, places) for group in groups.values())
    told = [judge_layer(one, around) for one in facts]
    # Layers of three axes are shown by now, whatever module of those that return one names it.
    unshown = {
        call.unnumbered for call in calls if call.path not in repeated and call.output.dim() > 3
    }
    return _shown_first(module, inputs, ranked(told), unshown), reason


def _witness(group: Sequence[_Call], repeated: Collection[str]) -> _Call | None:
    """A call by whose name `measure_places` finds the tensor of a group; None if none has one."""
    return next((call for call in group if call.path not in repeated), None)


def _shown_first(
    module: nn.Module, inputs: ModuleInputs, found: list[Candidate], unshown: Collection[str]
) -> list[Candidate]:
    """Refute the first usable layers whose places are none of the input's, until one is not.

    Args:
        module: The module.
        inputs: Its example inputs.
        found: All layers in order of preference.
        unshown: Those whose places nothing has shown yet.
    """
    given, usable = found, [one for one in found if one.usable]
    for start in range(0, len(usable), _AT_ONCE):
        chunk = usable[start : start + _AT_ONCE]
        if chunk[0].name not in unshown:
            return found
        places = measure_places(module, inputs, {one.name for one in chunk})
        for one in chunk:
            rank = len(one.shape)
            options = [Arrangement("channels_first", one.shape[2:])] + [
                Arrangement("channels_last", one.shape[1:-1])
            ] * (rank > 3)
            shown = places.get(one.name) if one.name in unshown else None
            finding = None if shown is None else shown.best(options)
            if shown is not None and shown.is_constant and inputs.has_one_image:
                reason = BLIND
            elif finding is None or not finding.is_everywhere:
                return sorted(found, key=lambda other: (not other.usable, other.name != one.name))
            else:
                reason = misplaced(finding.agreement)
            fault = replace(one, usable=False, reason=reason)
            found = [fault if other is one else other for other in found]
    return given  # convolutions keep their places; these are still the best there are


def _watch(
    module: nn.Module,
    inputs: ModuleInputs,
    score: Score,
    labels: int | None,
    names: Sequence[str] | None,
) -> tuple[list[_Call], torch.Tensor, str]:
    """Run forward and backward; return the calls as they ended, the class scores, and why those."""
    module = own_copy(module)
    calls: list[_Call] = []
    counts: Counter[str] = Counter()

    def record(path: str, layer: nn.Module, output: object) -> object:
        counts[path] += 1
        if isinstance(output, torch.Tensor):
            return pass_on(path, layer, output, (), whole=True)
        maps = maps_in(output)
        for place, tensor in maps:
            only: Path = () if len(maps) == 1 else place
            clone = pass_on(path, layer, tensor, only, whole=False)
            for same in [place for place, part in parts_of(output) if part is tensor]:
                output = with_part(output, same, clone)
        return output

    def pass_on(
        path: str, layer: nn.Module, output: torch.Tensor, place: Path, *, whole: bool
    ) -> torch.Tensor:
        """Note a tensor that a module gave, and return what the model continues with."""
        if not output.is_floating_point():
            return output
        # The same tensor, unless an in-place operation has changed it on the way.
        handed, origin = passed.get(id(output), (None, None))
        unchanged = handed is not None and handed._version == 0
        if not output.requires_grad:  # of token ids: nothing before it is to be differentiated
            output = output.detach().requires_grad_(True)
        kind, convolves = type(layer).__name__, isinstance(layer, _CONVOLUTIONS)
        same = origin if unchanged else None
        call = _Call(path, kind, output, counts[path], place, whole, convolves, same)
        calls.append(call)
        # A clone, so that a later in-place activation cannot change what this layer gave.
        clone = output.clone()
        passed[id(clone)] = (clone, call.source)
        return clone

    passed: dict[int, tuple[torch.Tensor, _Call]] = {}
    for path, layer in named_layers(module).items():
        layer.register_forward_hook(lambda layer, _, output, path=path: record(path, layer, output))
    noise = torch.Generator().manual_seed(0)
    inputs = inputs.with_tensors([_leaf(tensor, noise) for tensor in inputs.tensors])
    with torch.enable_grad():
        table, reason = score_of(
            run_module(module, inputs), score, inputs.batch or 1, labels, names
        )
        for call in calls:
            if call.output.requires_grad:
                call.output.retain_grad()
        if table.requires_grad:
            sums = table.flatten(2).sum(2) if table.dim() > 2 else table
            best = sums.amax(dim=1)
            best.backward(torch.full_like(best, FLOAT16_SCALE))
    return calls, table, reason


def _by_instance(shape: tuple[int, ...], image: tuple[int, ...]) -> bool:
    """Whether the first axis of [N * T, C, h, w] may be that of a bag [N, T, C, H, W] or clip."""
    many = len(shape) == 4 and len(image) == 5
    return many and shape[0] in {image[0] * count for count in image[1:3]}


def _leaf(example: torch.Tensor, noise: torch.Generator) -> torch.Tensor:
    """Noise in the shape of a float example: one of zeros could make every gradient vanish."""
    if not example.is_floating_point():
        return example
    drawn = torch.randn(example.shape, generator=noise, dtype=torch.float32)
    return drawn.to(example.dtype).requires_grad_(True)


def _facts(
    group: Sequence[_Call],
    repeated: Collection[str],
    grids: Sequence[tuple[int, ...]],
    inputs: Sequence[tuple[int, ...]],
    maps: int | None,
    places: Mapping[str, Dependence],
) -> LayerFacts:
    """What is known about the calls that returned one tensor.

    Args:
        group: The calls.
        repeated: Paths of the modules that are called several times.
        grids: Spatial extents of convolutions, which may be the grid of tokens as well.
        inputs: Shapes of the inputs.
        maps: Number of classes, where the scores have positions.
        places: What changes in layers with the parts of the input, by path.
    """
    source = group[0].source
    named = min(
        group, key=lambda call: (not call.whole, call.path.count("."), len(call.path), call.number)
    )
    number = named.number if named.path in repeated else None
    shape, slope = tuple(source.output.shape), source.output.grad
    # Of four axes the channels may be the second or the last.
    extents, prefix, tokens, refuted = (shape[2:], shape[1:-1]), 0, False, None
    if len(shape) == 3:
        options = rows_or_tokens(shape, inputs, grids, _side(source))
        witness = _witness(group, repeated)
        shown = None if witness is None else places.get(witness.unnumbered)
        finding = None if shown is None else shown.best(options)
        best = finding.arrangement if finding else next(iter(options), None)
        tokens = best is None or best.layout == "tokens"
        extents, prefix = ((), 0) if best is None else ((best.grid,), best.prefix)
        if finding is not None and finding.verdict == "refuted":
            refuted = finding.agreement
        elif shown is not None and shown.is_constant:
            refuted = 0.0
    class_map = False
    if slope is not None and len(shape) > 2 and shape[1] == maps:
        class_map = bool((slope.flatten(2).any(2).sum(1) <= 1).all())
    return LayerFacts(
        joined_name(named.path, number, named.place),
        named.kind,
        shape,
        on_batch=shape[:1] == inputs[0][:1] or _by_instance(shape, inputs[0]),
        tokens=tokens,
        grids=extents,
        branch=source.kind == "Linear",
        connected=slope is not None,
        gradient=slope is not None and bool((slope[:, prefix:] if prefix else slope).any()),
        class_map=class_map,
        refuted=refuted,
        passive=source.kind if any(word in source.kind for word in _PASSIVE) else "",
    )


def _side(call: _Call) -> Side | None:
    """The side of the channels that a module's class shows."""
    if call.convolution or "BatchNorm" in call.kind:
        return "first"
    return "last" if call.kind in ("Linear", "LayerNorm") else None
