"""A token table gives the texts of token ids: the runtime has no tokenizer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from ..checks import matches
from ..errors import InputError
from ..limits import TEXT_BYTES
from ..reading import read_file
from ..strict_json import read_json

Tokens: TypeAlias = str | Path | Sequence[str] | Mapping[str, int]


def read_tokens(tokens: Tokens) -> list[str] | dict[int, str]:
    """Return texts by their ids, or one for each position.

    Args:
        tokens: A list of texts; ids by text; or a file: a text on each line (``vocab.txt``), or
            JSON with a list or with ids by text (``vocab.json``).

    Raises:
        InputError: The file is missing or has another form.
    """
    origin = "tokens"
    if isinstance(tokens, (str, Path)):
        origin = str(tokens)
        data = read_file(tokens, InputError, TEXT_BYTES)
        try:
            text = data.decode()
            tokens = read_json(text) if origin.endswith(".json") else text.splitlines()
        except ValueError as error:
            raise InputError(f"{origin} is no table of tokens in UTF-8: {error}") from error
    if matches(tokens, dict[str, int]):
        table = cast("Mapping[str, int]", tokens)
        return {number: text for text, number in table.items()}
    if isinstance(tokens, (list, tuple)) and matches(tokens, list[str]):
        return list(tokens)
    raise InputError(f"{origin} is no table of tokens; give a text for each id, or ids by text")


def texts_of(table: list[str] | dict[int, str] | None, ids: NDArray[Any]) -> list[str]:
    """Return the text of each token of a sequence.

    A table is by id. A list that lacks ids and is as long as the sequence has a text for each
    position. Without a table, and for ids that it lacks, the text is the id.

    Args:
        table: From `read_tokens`.
        ids: Integers [T].

    Raises:
        InputError: The table lacks most of the ids.
    """
    numbers = [int(one) for one in ids]
    if table is None:
        return [str(number) for number in numbers]
    if isinstance(table, list):
        if len(table) == len(numbers) and max(numbers, default=0) >= len(table):
            return table
        table = dict(enumerate(table))
    lacking = sum(number not in table for number in numbers)
    if lacking > len(numbers) / 2:
        raise InputError(
            f"the table of {len(table)} tokens lacks {lacking} of the {len(numbers)} ids (up to "
            f"{max(numbers)}); give the model's own vocabulary, or {len(numbers)} texts"
        )
    return [table.get(number, str(number)) for number in numbers]


def shown_length(ids: NDArray[Any], mask: NDArray[Any] | None) -> int:
    """Return the number of positions before the padding, which an attention mask marks by 0."""
    if mask is None or mask.shape != ids.shape or not np.any(mask):
        return len(ids)
    return int(np.flatnonzero(mask)[-1]) + 1
