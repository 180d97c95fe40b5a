"""This module computes Grad-CAM by PyTorch autograd, the reference of an artifact."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from ....runtime.spec import Layer, ScoreRecord
from ...errors import VerificationError, first_line
from ...source.layer_taps import LayerTap
from ...source.own_copy import own_copy
from ...source.torch_inputs import ModuleInputs
from ...source.torch_outputs import tensors_of
from ..runs.artifact import Artifact
from ..runs.box_tables import edges_of, scores_of_boxes, selected_scores
from .torch_modes import Logits, Widened
from .torch_relu_rules import ReluRule, Rule, deconvnet, guided
from .torch_scores import channel_first, gradients_of, selected_class_scores, single
from .torch_similarity import similarities, texts_of

Array = npt.NDArray[Any]
Mode = TypeVar("Mode", bound=contextlib.AbstractContextManager[Any])
_RULES: dict[str, Rule | None] = {
    "input_gradients": None, "guided_gradients": guided, "deconvnet_gradients": deconvnet,
}  # fmt: skip
_LOGIT = ScoreRecord("logit", "", "", "softmax", activated=False, classes=0)


@dataclass(frozen=True)
class Expected:
    """What PyTorch computes.

    Attributes:
        outputs: The model's own outputs.
        scores: [N, K].
        activations: [N, C, *space] by layer.
        gradients: [N, K, C, *space] by layer.
        heatmaps: [N, K, *space] by layer.
        of_input: [N, K, *input] by the metadata's field.
        boxes: [N, K, 4], of detectors only.
    """

    outputs: list[Array]
    scores: Array
    activations: dict[str, Array] = field(default_factory=dict[str, Array])
    gradients: dict[str, Array] = field(default_factory=dict[str, Array])
    heatmaps: dict[str, Array] = field(default_factory=dict[str, Array])
    of_input: dict[str, Array] = field(default_factory=dict[str, Array])
    boxes: Array | None = None


class Reference:
    """Runs a model in one precision and differentiates it with respect to its target layers.

    Args:
        module: The model; a copy is taken.
        layers: Target layers, by name.
        dtype: float64 for the truth; None leaves the model as it is, for PyTorch's own rounding
            error.
        artifact: What gives the scored output, and the kind of its score; by default the first
            output, and its logits.
        of_input: Fields of the metadata whose gradients with respect to the image are computed.

    Attributes:
        selections: Indices of what the last run selected by size (the best queries, for example).
    """

    def __init__(
        self,
        module: nn.Module,
        layers: Sequence[Layer],
        dtype: torch.dtype | None = torch.float64,
        *,
        artifact: Artifact | None = None,
        of_input: Sequence[str] = (),
    ) -> None:
        self.module = own_copy(module, dtype)
        self.layers, self.dtype, self.of_input = list(layers), dtype, of_input
        self.score, outputs = (artifact.spec.score, artifact.outputs) if artifact else (_LOGIT, [])
        self.outputs = outputs
        self.spec = artifact.spec if artifact and artifact.spec.detector else None
        how = self.score.similarity
        scored = self.score.output if how is None else how.embedding
        self.output = outputs.index(scored) if scored in outputs else 0
        self.bank = texts_of(artifact) if artifact else None
        self.image = artifact.image if artifact and of_input else 0
        self._taps: dict[str, torch.Tensor] = {}
        self._calls = Counter[str]()
        # Layers by name: which call, and the value to go on with instead of its own.
        self._instead: dict[str, tuple[int, torch.Tensor]] = {}
        self.selections: list[Array] = []
        self._hooks = [
            LayerTap(self.module, layer.name, partial(self._tap, layer.name)) for layer in layers
        ]
        self._joined: set[str] = set()
        self._watch: contextlib.AbstractContextManager[Any] = contextlib.nullcontext()

    def _tap(self, path: str, result: torch.Tensor) -> torch.Tensor:
        self._calls[path] += 1
        call, value = self._instead.get(path, (0, result))
        result = value if call == self._calls[path] else result
        # A fresh leaf cuts the graph below the first target, where no gradient is needed.
        leaf = result if result.requires_grad else result.detach().clone().requires_grad_(True)
        self._taps[path] = leaf
        return leaf.clone()

    def __call__(
        self, given: ModuleInputs | Sequence[Any], selected: Array, region: Array | None = None
    ) -> Expected:
        """Run on ``given`` and differentiate the selected scores.

        Args:
            given: Inputs of the module.
            selected: The classes, int64 [N, K]; for a linear score the weights,
                [N or 1, K, *output].
            region: Scores with positions are summed over it, [N or 1, K or 1, *positions]; None:
                over all.
        """
        inputs = self._in_precision(given)
        leaves, scores = self._forward(inputs, selected, region)
        arrays = [leaf.detach().numpy() for leaf in leaves]
        found = self._boxes(inputs, leaves, selected, Expected(arrays, scores.detach().numpy()))
        taps = [self._taps[layer.name] for layer in self.layers]
        for layer, tap, gradient in zip(self.layers, taps, gradients_of(scores, taps), strict=True):
            value = channel_first(single(tap.detach()), layer, 1)
            slope = channel_first(gradient, layer, 2)
            found.activations[layer.name] = value.numpy()
            found.gradients[layer.name] = slope.numpy()
            if layer.method == "hirescam":
                weighted = (slope * value.unsqueeze(1)).sum(2)
            else:
                weighted = torch.einsum("nkc,nc...->nk...", slope.flatten(3).mean(-1), value)
            found.heatmaps[layer.name] = weighted.relu().numpy()
        for kind in self.of_input:
            tensors = inputs.tensors
            image = tensors[self.image].detach().clone().requires_grad_(True)
            tensors[self.image] = image
            changed = inputs.with_tensors(tensors)
            rule = _RULES[kind]
            with contextlib.nullcontext() if rule is None else ReluRule(rule):
                _, scores = self._forward(changed, selected, region)
            found.of_input[kind] = gradients_of(scores, [image])[0].numpy()
        return found

    def close(self) -> None:
        """Take the hooks off: they lead from the copy of the module back to it and keep both."""
        for hook in self._hooks:
            hook.remove()
        self._hooks, self._taps = [], {}

    @contextlib.contextmanager
    def watching(self, mode: Mode) -> Generator[Mode]:
        """Run the model's forward pass inside of ``mode``."""
        self._watch = mode
        try:
            yield mode
        finally:
            self._watch = contextlib.nullcontext()

    def _in_precision(self, given: ModuleInputs | Sequence[Any]) -> ModuleInputs:
        """The inputs, floats in the reference's precision."""
        inputs, dtype = ModuleInputs.of(given), self.dtype
        if dtype is None:
            return inputs
        return inputs.with_tensors(
            [x.to(dtype) if x.is_floating_point() else x for x in inputs.tensors]
        )

    def values_of(self, given: ModuleInputs | Sequence[Any]) -> dict[str, Array]:
        """What each layer gives, as it lays it out; under an empty name the image itself."""
        inputs = self._in_precision(given)
        with torch.no_grad():
            self._run(inputs)
        values = {name: tap.detach().numpy() for name, tap in self._taps.items()}
        return {"": inputs.tensors[self.image].detach().numpy(), **values}

    def read_by(self, given: ModuleInputs | Sequence[Any], layer: str, value: Array) -> set[str]:
        """The other layers whose values follow if a layer gave ``value``."""
        before = self.values_of(given)
        with self._going_on(given, {layer: value}) as inputs, torch.no_grad():
            self._run(inputs)
        after = {name: tap.detach().numpy() for name, tap in self._taps.items()}
        return {n for n, v in after.items() if n != layer and not np.array_equal(v, before[n])}

    def scores_at(
        self, given: ModuleInputs | Sequence[Any], values: Mapping[str, Array], selected: Array,
        region: Array | None,
    ) -> Array:  # fmt: skip
        """The scores, [N, K], if layers gave ``values``.

        Args:
            given: Inputs of the module.
            values: In place of the last results of layers, which were run before; under an empty
                name the image itself.
            selected: As for a call.
            region: Likewise.
        """
        with self._going_on(given, values) as inputs:
            return self._forward(inputs, selected, region, grad=False)[1].detach().numpy()

    @contextlib.contextmanager
    def _going_on(
        self, given: ModuleInputs | Sequence[Any], values: Mapping[str, Array]
    ) -> Generator[ModuleInputs]:
        """The inputs, while layers go on with ``values``."""
        inputs = self._in_precision(given)
        tensors = {name: torch.from_numpy(value).clone() for name, value in values.items()}
        image = tensors.pop("", None)
        if image is not None:
            own = inputs.tensors
            own[self.image] = image
            inputs = inputs.with_tensors(own)
        self._instead = {name: (self._calls[name], one) for name, one in tensors.items()}
        try:
            yield inputs
        finally:
            self._instead = {}

    def selects_as(self, before: Sequence[Array]) -> bool:
        """Whether the last run selected the same parts as `selections` of a run before it."""
        pairs = zip(self.selections, before, strict=False)
        same = len(self.selections) == len(before)
        return same and all(np.array_equal(one, other) for one, other in pairs)

    def _forward(
        self, inputs: ModuleInputs, selected: Array, region: Array | None, *, grad: bool = True
    ) -> tuple[list[torch.Tensor], torch.Tensor]:
        """The model's tensors, and the selected scores, [N, K]."""
        with torch.set_grad_enabled(grad):
            result, logits = self._run(inputs)
        fresh = [one for one in self._hooks if one.nested and one.name.path not in self._joined]
        if fresh and grad:
            # One tensor of several may be computed from another, inside of the layer.
            self._joined |= {_differentiable(hook) for hook in fresh}
            with torch.enable_grad():
                result, logits = self._run(inputs)
        leaves = tensors_of(result)
        if self.spec is not None:
            scores, edges = self._tables(inputs, leaves)
            assert self.spec.detector is not None
            return leaves, selected_scores(self.spec.detector, scores, edges, selected, torch)
        table = single(self._table(leaves, logits))
        return leaves, selected_class_scores(table, self.score, selected, region)

    def _tables(
        self, inputs: ModuleInputs, leaves: Sequence[torch.Tensor]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Scores and edges of all boxes of a detector, see `box_tables`."""
        assert self.spec is not None
        assert self.spec.detector is not None
        outputs = {n: single(v) for n, v in zip(self.outputs, leaves, strict=False)}
        size = inputs.tensors[self.image].shape[2:]
        edges = edges_of(self.spec.detector, outputs, size, torch)
        return scores_of_boxes(self.spec, outputs, torch), edges

    def _boxes(
        self, inputs: ModuleInputs, leaves: Sequence[torch.Tensor], selected: Array, found: Expected
    ) -> Expected:
        """The same with the requested boxes, of a detector."""
        if self.spec is None:
            return found
        edges = self._tables(inputs, leaves)[1].detach().numpy()
        return replace(found, boxes=np.take_along_axis(edges, selected[..., 1:2], axis=1))

    def _run(self, inputs: ModuleInputs) -> tuple[Any, Logits]:
        """The model's result, with its layers' values in `_taps`."""
        self._taps = {}
        self._calls.clear()
        for hook in self._hooks:
            hook.calls = 0
        widened = contextlib.nullcontext() if self.dtype is None else Widened(self.dtype)
        with widened, Logits() as logits, self._watch:
            try:
                result = inputs.call(self.module)
            except RuntimeError as error:
                if self.dtype is None:
                    raise
                raise VerificationError(
                    f"the model does not run in float64, with which it is compared: "
                    f"{first_line(error)}; let the tensors that it makes have its weights' type, "
                    "or export an ONNX file of it"
                ) from error
        self.selections = logits.selections
        return result, logits

    def _table(self, leaves: Sequence[torch.Tensor], logits: Logits) -> torch.Tensor:
        """What is scored, with the classes along axis 1; any shape for a linear score."""
        score, layer = self.score, self.layers[0]
        if score.kind == "channel":
            return channel_first(self._taps[layer.name], layer, 1)
        table = leaves[self.output]
        if score.similarity is not None:
            table = single(table)
            return table if self.bank is None else similarities(table, self.bank, score)
        axis, offset = (score.class_axis or 1), score.class_offset or 0
        part = logits.classes_of(table, axis, offset) if offset else None
        if part is not None:
            table, offset = part, 0
        if score.kind != "output" and (score.kind, score.activation) != ("linear", "none"):
            table = logits.before(table, axis)
        if score.kind == "linear":
            return table
        table = table.unsqueeze(1) if table.dim() == 1 else table
        table = table.narrow(axis, offset, table.shape[axis] - offset).movedim(axis, 1)
        return torch.cat([-table, table], dim=1) if table.shape[1] == 1 else table


def _differentiable(hook: LayerTap) -> str:
    """Make all that a layer computes differentiable, and return its path."""

    def opened(_layer: nn.Module, args: Any, kwargs: Any) -> Any:
        inputs = ModuleInputs(args, kwargs)
        tensors = [
            x.detach().clone().requires_grad_(True).clone()
            if x.is_floating_point() and not x.requires_grad
            else x
            for x in inputs.tensors
        ]
        inputs = inputs.with_tensors(tensors)
        return inputs.args, inputs.kwargs

    hook.layer.requires_grad_(True)
    hook.layer.register_forward_pre_hook(opened, with_kwargs=True)
    return hook.name.path
