"""These functions find a text encoder's input of token ids, and its output with embeddings."""

from __future__ import annotations

import re

import numpy as np

from ..errors import InputError
from ..session.session import Model

MASK, TYPES = "attention_mask", "token_type_ids"
_IDS = "input_ids"
_EMBEDDING = re.compile(r"text.*(embed|feat)|embed|feat|pool")
_INTEGERS = (np.int32, np.int64)


def find_ids(model: Model) -> tuple[str, int | None]:
    """Return the name of the input of token ids, and its length if that is fixed.

    Raises:
        InputError: There is none, or the model takes something else as well.
    """
    inputs = {name: port for name, port in model.inputs.items() if port.required}
    whole = {name for name, port in inputs.items() if port.dtype in _INTEGERS}
    name = _IDS if _IDS in inputs else next(iter(inputs), "") if len(inputs) == 1 else ""
    others = sorted(set(inputs) - {name, MASK, TYPES})
    if name not in whole or len(inputs[name].shape) != 2:
        raise InputError(
            f"{model.path.name} takes {', '.join(inputs)}: no text encoder, which takes "
            f"'{_IDS}', integers [texts, length]"
        )
    if others:
        raise InputError(
            f"{model.path.name} also takes {', '.join(others)}; export the text encoder alone, "
            "such as transformers' CLIPTextModelWithProjection"
        )
    return name, inputs[name].shape[1]


def find_output(model: Model, given: str | None) -> str:
    """Return the name of the output with the embeddings.

    Args:
        model: A text encoder.
        given: The name that the user gave; None: the only one of two axes, or that of its kind.

    Raises:
        InputError: There is none, or several could be it.
    """
    outputs = model.outputs
    if given is not None:
        if given not in outputs:
            raise InputError(
                f"{model.path.name} has no output '{given}'; it has {', '.join(outputs)}"
            )
        return given
    types = model.types
    flat = [
        name
        for name, extents in outputs.items()
        if len(extents) == 2 and "float" in types.get(name, "")
    ]
    if not flat:
        shown = ", ".join(f"{name} {list(extents)}" for name, extents in outputs.items())
        raise InputError(
            f"{model.path.name} has no output [texts, width]: {shown}; export the model with "
            "its projection"
        )
    ranks = {name: _EMBEDDING.search(name.lower()) for name in flat}
    texts = [name for name in flat if (found := ranks[name]) and found.group(1)]
    named = texts or [name for name in flat if ranks[name]]
    if len(named or flat) > 1:
        raise InputError(
            f"{model.path.name} has several outputs [texts, width]: {', '.join(named or flat)}; "
            "name the one with the embeddings (`graftcam prompts --output`)"
        )
    return (named or flat)[0]
