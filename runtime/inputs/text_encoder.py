"""A `TextEncoder` makes embeddings of texts by an ONNX file and its tokenizer.

The tokenizer is a ``tokenizer.json``, which the package ``tokenizers`` reads: ``graftcam[words]``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, SessionError, first_line, system_errors
from ..limits import TEXT_BYTES
from ..onnx_file.check import check_file
from ..reading import file_sha256, read_file
from ..session.session import Model
from .text_ports import MASK, TYPES, find_ids, find_output

_PADS = ("<pad>", "[PAD]", "<|pad|>", "<|endoftext|>", "</s>")
_BATCH = 32  # texts that run together


class TextEncoder:
    """The text half of a model such as CLIP, in ONNX Runtime.

    Attributes:
        path: The ONNX file. It takes token ids [texts, length], named ``input_ids`` or its only
            input, and ``attention_mask`` if it has that input.
        sha256: The digest of the file and of the weights beside it.
        length: The number of tokens that every text is padded to; None: none is padded.
        limit: The most tokens of a text; None: unknown.
    """

    def __init__(
        self,
        path: str | Path,
        tokenizer: str | Path,
        output: str | None = None,
        length: int | None = None,
        pad: str | None = None,
    ) -> None:
        """Open an encoder.

        Args:
            path: The ONNX file.
            tokenizer: The ``tokenizer.json`` that belongs to it.
            output: The output with the embeddings [texts, width]; None: the only such one, or the
                one with the likeliest name.
            length: Pad every text to this number of tokens, as SigLIP needs it (64). None: what
                the file or the tokenizer fixes.
            pad: The token that fills it up. None: what the tokenizer says, else its only token
                of a usual name.

        Raises:
            InputError: A file is missing or has another form, the package ``tokenizers`` is
                missing, or an input or output is not that of a text encoder.
            SessionError: ONNX Runtime is missing, or cannot load the file.
        """
        self.path = Path(path)
        self._tokenizer = _tokenizer(Path(tokenizer))
        self.sha256 = encoder_sha256(self.path)
        self._model = Model(self.path, "cpu")
        self._ids, fixed = find_ids(self._model)
        self._output = find_output(self._model, output)
        pads: dict[str, Any] = self._tokenizer.padding or {}
        cut: dict[str, Any] = self._tokenizer.truncation or {}
        padded = fixed or length or pads.get("length")
        if fixed and length and fixed != length:
            raise InputError(
                f"{self.path.name} takes {fixed} tokens a text, not {length}; leave the length out"
            )
        self.length: int | None = padded
        limits = [one for one in (padded, cut.get("max_length")) if one]
        self.limit: int | None = min(limits, default=None)
        self._pad = 0 if padded is None else self._pad_id(pad, pads)
        # A text that is too long is refused, not cut.
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the embeddings of texts, float32 [texts, width].

        Raises:
            InputError: A text has more tokens than the encoder takes.
            SessionError: ONNX Runtime failed.
        """
        rows = [self._tokens(text) for text in texts]
        by_length: dict[int, list[int]] = {}
        for place, row in enumerate(rows):
            by_length.setdefault(self.length or len(row), []).append(place)
        found: dict[int, NDArray[np.float32]] = {}
        for length, places in by_length.items():
            for start in range(0, len(places), _BATCH):
                part = places[start : start + _BATCH]
                found.update(zip(part, self._run([rows[at] for at in part], length), strict=True))
        return np.stack([found[place] for place in range(len(rows))])

    def _tokens(self, text: str) -> list[int]:
        """Return the ids of a text, with the tokens that the tokenizer puts around it."""
        ids: list[int] = self._tokenizer.encode(text).ids
        if self.limit is not None and len(ids) > self.limit:
            raise InputError(
                f"prompt '{_short(text)}' has {len(ids)} tokens, and the text encoder takes "
                f"{self.limit}; write a shorter one"
            )
        if not ids:
            raise InputError(f"prompt '{_short(text)}' has no tokens; write words")
        return ids

    def _run(self, rows: Sequence[list[int]], length: int) -> NDArray[np.float32]:
        """Encode texts together, [texts, width]; a file with a fixed batch gets them in parts."""
        batch = self._model.inputs[self._ids].shape[0]
        if batch is not None and len(rows) != batch:
            parts = [rows[at : at + batch] for at in range(0, len(rows), batch)]
            filled = [[*part, *[part[-1]] * (batch - len(part))] for part in parts]
            found = [self._run(part, length) for part in filled]
            return np.concatenate(found)[: len(rows)]
        ids = np.full((len(rows), length), self._pad, np.int64)
        mask = np.zeros_like(ids)
        for at, row in enumerate(rows):
            ids[at, : len(row)], mask[at, : len(row)] = row, 1
        values = {self._ids: ids, MASK: mask, TYPES: np.zeros_like(ids)}
        feeds = {
            name: values[name].astype(port.dtype or np.int64)
            for name, port in self._model.inputs.items()
            if name in values
        }
        vectors = self._model.run(feeds, [self._output])[self._output]
        if vectors.ndim != 2 or len(vectors) != len(rows):
            raise InputError(
                f"output '{self._output}' of {self.path.name} is {list(vectors.shape)} for "
                f"{len(rows)} texts; name the output [texts, width] (`graftcam prompts --output`)"
            )
        return vectors.astype(np.float32)

    def _pad_id(self, given: str | None, padding: dict[str, Any]) -> int:
        """Return the id of the token behind short texts.

        Raises:
            InputError: There is no such token, or several could be it.
        """
        if given is None and padding:
            return int(padding["pad_id"])
        tokens = _PADS if given is None else (given,)
        found = {token: self._tokenizer.token_to_id(token) for token in tokens}
        known = {token: number for token, number in found.items() if number is not None}
        # Where a mask says what counts, the token does not matter.
        if len(known) == 1 or (known and given is None and MASK in self._model.inputs):
            return int(next(iter(known.values())))
        if given is not None:
            raise InputError(f"the tokenizer has no token '{given}' to pad with; give one it has")
        which = f"several could: {', '.join(known)}" if known else "none has a usual name"
        raise InputError(
            f"{self.path.name} takes texts of {self.length} tokens, and the tokenizer does not say "
            f"which token fills them up ({which}); name it (--pad), such as '</s>' for SigLIP"
        )


def encoder_sha256(path: Path) -> str:
    """Return the SHA-256 of a text encoder: of its file, and of the weights beside it.

    Raises:
        InputError: It is no ONNX file, or cannot be read.
    """
    if not path.is_file():
        raise InputError(f"no text encoder {path}; give an ONNX file")
    try:
        beside = sorted(check_file(path, SessionError))
    except SessionError as error:
        raise InputError(str(error)) from error
    with system_errors(InputError, f"cannot read {path}"):
        digest = file_sha256(path)
        if not beside:
            return digest
        parts = [digest, *(file_sha256(path.parent / part) for part in beside)]
    return hashlib.sha256("".join(parts).encode()).hexdigest()


def _tokenizer(path: Path) -> Any:
    """Read a ``tokenizer.json``."""
    data = read_file(path, InputError, TEXT_BYTES, "the tokenizer")
    try:
        tokenizers: Any = import_module("tokenizers")
    except ImportError as error:
        raise InputError(
            'prompts need the package tokenizers: pip install "graftcam[words]"; or make a bank '
            "with it elsewhere (`graftcam prompts`)"
        ) from error
    try:
        return tokenizers.Tokenizer.from_buffer(data)
    except BaseException as error:  # a panic of its Rust code is no Exception
        if isinstance(error, (KeyboardInterrupt, SystemExit)):
            raise
        raise InputError(
            f"{path} is no tokenizer.json ({first_line(error)}); give the file of that name that "
            "comes with the model"
        ) from error


def _short(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:37]}..."
