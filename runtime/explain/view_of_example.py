"""`view_of_example` finds how the input that maps lie over is drawn."""

from __future__ import annotations

from ..errors import InputError
from ..inputs.examples import Example
from ..inputs.form import form_of
from ..inputs.token_table import shown_length, texts_of
from ..inputs.values import Photo, Tensor
from ..output.views import View, view_of
from .plan import Plan


def view_of_example(plan: Plan, example: Example, over: str, cells: tuple[int, ...]) -> View:
    """Return the view of the input that maps lie over."""
    value, layer = example.values[over], plan.layers[0]
    transform = plan.session.spec.preprocess if over == plan.reader.main else None
    if isinstance(value, Photo):
        return view_of(value, None, cells)
    port = plan.session.inputs[over]
    form = form_of(value.values.shape, port.dtype, cells, layer.layout, transform)
    texts = None
    if plan.tokens is not None and (form is None or form.kind != "tokens"):
        raise InputError(f"the maps lie over '{over}', which takes no token ids; leave tokens out")
    if form is not None and form.kind == "tokens":
        ids, mask = value.values, example.values.get("attention_mask")
        masked = mask.values if isinstance(mask, Tensor) else None
        texts = texts_of(plan.tokens, ids)[: shown_length(ids, masked)]
    return view_of(value, form, cells, transform, texts, layer.prefix_tokens)
