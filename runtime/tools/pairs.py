"""`pair_of` finds what compares two artifacts: by classes, boxes or texts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import InputError
from ..explainer import Explainer
from ..inputs.bank import Bank
from .diff import Pair
from .diff_boxes import BoxPair
from .diff_texts import TextPair, takes_texts


def pair_of(
    first: Explainer,
    second: Explainer,
    inputs: Mapping[str, Any] | None = None,
    bank: Bank | None = None,
) -> Pair:
    """Return what compares two artifacts of one kind.

    Args:
        first: The artifact that chooses what is compared.
        second: The other.
        inputs: Values of further inputs, for both.
        bank: The texts, where an artifact takes embeddings of texts.

    Raises:
        InputError: One is a detector and the other is not, a bank is missing or does not fit, or a
            score has no classes.
    """
    pair = (first, second)
    kinds = [one.spec.detector is not None for one in pair]
    if kinds[0] != kinds[1]:
        detector, other = (first, second) if kinds[0] else (second, first)
        raise InputError(
            f"{detector.path.name} is a detector and {other.path.name} is not; compare two "
            "artifacts of one kind"
        )
    linear = next((one for one in pair if one.spec.score.kind == "linear"), None)
    if linear is not None:
        raise InputError(
            f"{linear.path.name} explains the inner product with weights that are fed, so it has "
            "no best class to compare; compare artifacts with classes"
        )
    fed = next(filter(takes_texts, pair), None)
    if fed is not None and bank is not None:
        return TextPair(first, second, bank, inputs)
    if fed is not None:
        raise InputError(
            f"{fed.path.name} compares images with texts that are fed; give the bank that "
            "`graftcam prompts` made (--bank), or --prompt with --text-encoder and --tokenizer"
        )
    if bank is not None:
        raise InputError(
            f"{first.path.name} and {second.path.name} take no texts; leave the bank (--bank, "
            "--text-encoder) out"
        )
    return (BoxPair if kinds[0] else Pair)(first, second, inputs)
