"""This module makes the score of an embedding: how it is compared with the embeddings of texts.

CLIP (Radford et al. 2021) and SigLIP (Zhai et al. 2023) score an image and a text by
``scale * cosine + bias``. Their modules hold the logarithm of the scale as ``logit_scale``, and
SigLIP's the bias as ``logit_bias``.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from ...runtime.settings import Activation, Similarity
from ..errors import ScoreError
from ..locate.score import Located
from ..source.settings import ExportSettings

BANK_OUTPUT = "similarity"
"""The output with the scores of a bank's texts."""
_PER_IMAGE = "logits_per_image"  # the name that transformers gives the scores of texts
_SCALES = (1e-6, 1e6)


def with_similarity(located: Located, module: Any, settings: ExportSettings) -> Located:
    """Let a located embedding be scored against texts: those that are fed, or a bank's.

    Scale and bias are those of the settings, else the module's, else the bank's. The probabilities
    are SigLIP's, a sigmoid, where there is a bias, else CLIP's, a softmax over the texts.

    Args:
        located: The embedding, [N, width].
        module: The PyTorch module, if there is one.
        settings: With the bank, if there is one.

    Raises:
        ScoreError: The scale is unknown, or the bank's vectors have another width.
    """
    score, bank, record = settings.score, settings.bank, located.score
    sources = [(score.scale, score.bias), _of_module(module)]
    if bank is not None:
        sources.append((bank.scale, bank.bias))
    scale = next((scale for scale, _ in sources if scale is not None), None)
    bias = next((bias for _, bias in sources if bias is not None), None)
    width, name = record.classes, record.output
    if scale is None:
        raise ScoreError(
            f"the scale of the similarity of {name!r} is unknown: neither option, module nor bank "
            "has it; give scale (--scale), the exponential of the model's logit_scale, such as 100"
        )
    if bank is not None and bank.width != width:
        raise ScoreError(
            f"the bank's embeddings have {bank.width} numbers, and {name!r} has {width}: it is of "
            "another model, or another output is meant; name it with output (--output)"
        )
    activation: Activation = score.activation or ("sigmoid" if bias else "softmax")
    encoder = score.text_encoder or (None if bank is None else bank.text_encoder)
    similarity = Similarity(name, width, scale, bias or None, encoder)
    reason = f"{located.reason}; cosines times {scale:.6g}"
    reason += f" plus {bias:.6g}" if bias else ""
    found = replace(located, score=replace(record, activation=activation, similarity=similarity))
    if bank is None:
        return replace(found, reason=reason)
    similarity = replace(
        similarity, bank=BANK_OUTPUT, bank_sha256=bank.sha256, templates=list(bank.templates)
    )
    scored = replace(
        found.score, kind="logit", output=BANK_OUTPUT, classes=len(bank.names),
        similarity=similarity,
    )  # fmt: skip
    return replace(
        found, score=scored, bank=bank, reason=f"{reason}, with a bank of {len(bank.names)} texts"
    )


def with_own_sigmoid(located: Located, module: Any, settings: ExportSettings) -> Located:
    """Let SigLIP's scores of images and texts have a probability each, which no graph shows.

    Its module adds a bias to them, as CLIP's does not.
    """
    score = located.score
    open_choice = settings.score.activation is None and not score.activated
    if not (open_choice and score.output.startswith(_PER_IMAGE) and _of_module(module)[1]):
        return located
    reason = f"{located.reason}; probabilities by a sigmoid, as the module has a logit_bias"
    return replace(located, score=replace(score, activation="sigmoid"), reason=reason)


def _of_module(module: Any) -> tuple[float | None, float | None]:
    """Scale and bias of a module that holds them as CLIP's and SigLIP's do."""
    scale, bias = (_number(getattr(module, name, None)) for name in ("logit_scale", "logit_bias"))
    if scale is not None:
        scale = math.exp(min(scale, 700.0))
        scale = scale if _SCALES[0] <= scale <= _SCALES[1] else None
    return scale, bias


def _number(value: Any) -> float | None:
    """The number that a parameter of one entry holds."""
    if value is None or callable(value) or getattr(value, "numel", lambda: 1)() != 1:
        return None
    try:
        return float(value.detach() if hasattr(value, "detach") else value)
    except (TypeError, ValueError):
        return None
