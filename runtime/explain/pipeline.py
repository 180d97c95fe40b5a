"""`explain_examples` does the steps from examples to explanations, in order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, SpecError
from ..inputs.batch import make_batch
from ..inputs.examples import Example
from ..inputs.region import Region, cut, per_image
from ..inputs.scores import probabilities
from ..inputs.values import Photo
from ..methods.method_io import MethodOutput
from ..methods.table import ATTENTION_METHODS, METHODS
from ..output.answer import answer_of
from ..output.explanation import Explanation
from ..output.render import map_status
from ..output.views import View
from ..spec import Layer, Spec
from ..spec.attention import Attention
from .batches import MAX_BATCH, parts_of
from .box_pipeline import explain_boxes
from .plan import Plan
from .view_of_example import view_of_example


def explain_examples(plan: Plan, examples: Sequence[Example]) -> list[list[Explanation]]:
    """Explain each example by each method of a plan: a list of methods for each example.

    Examples run together, as many as the artifact's batch axis takes, at most `MAX_BATCH`.

    Raises:
        ImageError: An image cannot be used.
        InputError: The artifact lacks what a method needs, or a region does not fit.
        SessionError: ONNX Runtime failed.
    """
    if plan.boxes is not None:
        return explain_boxes(plan, plan.boxes, examples)
    regions: list[Region | None] = []
    given = per_image(plan.region, len(examples))
    for region, example in zip(given, examples, strict=True):
        about = example.values[plan.reader.main]
        size = about.pixels.shape[:2] if isinstance(about, Photo) else None
        regions.append(cut(region, plan.box, size, plan.session.max_pixels))
    most = plan.session.inputs[plan.reader.main].shape[0] or MAX_BATCH
    parts = parts_of(examples, most)
    return [
        row
        for part in parts
        for row in _explain_batch(plan.part(part), examples[part], regions[part])
    ]


def _explain_batch(
    plan: Plan, examples: Sequence[Example], regions: Sequence[Region | None]
) -> list[list[Explanation]]:
    """Explain examples that run together."""
    spec, main = plan.session.spec, plan.reader.main
    feeds, weights = make_batch(plan.session, main, examples, plan.selection, regions)
    prompts, chosen = plan.prompts, None
    if prompts is not None:
        chosen = prompts.choose(plan.session, feeds)
        feeds[spec.selector] = prompts.selection(chosen)
    inputs = {method: plan.placing.of(method, plan.layers, feeds) for method in plan.methods}
    if "flip" in plan.augment and set(inputs.values()) != {main}:
        raise InputError(
            f"augment='flip' flips the input '{main}', but the maps lie over "
            f"'{next(name for name in inputs.values() if name != main)}'; use augment='scale'"
        )
    named = plan.rows if prompts is None else prompts.bank.names
    labels, layer = named or spec.labels, ", ".join(layer.name for layer in plan.layers)
    layer = layer if len(plan.layers) == 1 else f"{plan.fuse} of {layer}"
    found: list[list[Explanation]] = [[] for _ in examples]
    abouts = spec.by_output() if spec.outputs else []
    views: dict[tuple[int, str, int], View] = {}
    for (method, options), output in zip(plan.methods.items(), plan.run(feeds), strict=True):
        _check_shapes(output, len(examples))
        signed, all_maps = (
            METHODS[method].is_signed(options),
            along_input(laid_on(spec, plan.layers[0], method), output.maps),
        )
        for row, example in enumerate(examples):
            classes = [int(c) for c in output.classes[row]]
            shares = probabilities(spec.score, output.model_output[row])
            if prompts is not None and chosen is not None:
                own = chosen[row if len(chosen) > 1 else 0]
                classes = [int(own[place]) for place in classes]
                shares = prompts.probabilities(output.model_output[row])
            cells, over = all_maps.shape[2:], inputs[method]
            key = (row, over, len(cells))
            # Methods share the drawing of the input.
            view = views.get(key) or view_of_example(plan, example, over, cells)
            views[key] = view
            explanation = Explanation(
                view=view,
                name=example.name,
                output=output.model_output[row],
                probabilities=shares,
                classes=classes,
                labels=[str(c) if labels is None else labels[c] for c in classes],
                scores=output.scores[row],
                maps=all_maps[row],
                status=[map_status(raw, signed) for raw in all_maps[row]],
                layer=layer,
                method=method,
                input=over,
                region=None if weights is None else weights[row],
                measures={name: values[row] for name, values in output.measures.items()},
                signed=signed,
                augment=plan.augment,
                output_name=spec.score.output,
                answers={
                    one.score.output: answer_of(one, output.by_output[one.score.output][row])
                    for one in abouts
                },
                sources=(*plan.files, *example.files),
            )
            found[row].append(explanation)
    return found


def _check_shapes(output: MethodOutput, examples: int) -> None:
    """Refuse what a graph computes that does not declare the shapes of its outputs."""
    shapes = [output.classes.shape, output.scores.shape, output.maps.shape[:2]]
    right = len(shapes[0]) == 2 and shapes[0][0] >= examples and len(set(shapes)) == 1
    if not right or output.model_output.shape[:1] < (examples,):
        found = ", ".join(str(list(shape)) for shape in [*shapes, output.model_output.shape])
        raise SpecError(
            f"classes, scores, maps and the scored output have the shapes {found} for {examples} "
            "inputs; export the artifact again"
        )


def laid_on(spec: Spec, layer: Layer, method: str) -> Layer | Attention:
    """What has the grid of a method's maps: the layer, or the blocks that it follows."""
    return spec.attention if method in ATTENTION_METHODS and spec.attention else layer


def along_input(of: Layer | Attention, maps: NDArray[Any]) -> NDArray[Any]:
    """Maps [N, K, *space] with their axes in the order of the input's that they run along."""
    axes, extents = of.input_axes, zip(of.grid, maps.shape[2:], strict=False)
    if axes is None or any(known not in (None, extent) for known, extent in extents):
        return maps  # those of the input's gradient lie along it
    return maps.transpose(0, 1, *(2 + place for place in np.argsort(axes)))
