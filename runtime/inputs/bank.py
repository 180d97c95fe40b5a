"""A `Bank` holds the embeddings of texts, by which an image's embedding is explained."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from ..bounds import Digest, Length
from ..errors import InputError, SpecError, first_line
from ..records import Record, parse_record, written
from ..settings import Bias, CosineScale
from ..strict_json import read_json
from ..writing import atomic_write
from .tensor_files import read_tensor

SUFFIX = ".npz"
PLACE = "{}"
"""Where a template takes a name."""
_BATCH = 64  # texts that are encoded together
_ENTRIES = {"vectors", "record"}
_FIELDS = ("text_embeds", "pooler_output")
_ROUNDING = 1e-5  # of the length of a float32 vector, at most

Encode = Callable[[list[str]], Any]
"""Returns the embeddings of texts, [texts, width]: an array, a tensor of PyTorch, or an output of
transformers that has them as ``text_embeds`` or ``pooler_output``."""


@dataclass(frozen=True)
class _Texts(Record):
    """What a bank's file says beside the numbers."""

    names: Annotated[list[str], Length(1, 1 << 20)]
    templates: list[str]
    scale: CosineScale | None = None
    bias: Bias | None = None
    text_encoder: Digest | None = None


@dataclass(frozen=True, eq=False)
class Bank:
    """Embeddings of texts.

    Attributes:
        names: What the texts are about, all different; these are the prompts of an explanation.
        vectors: Their embeddings, float32 [names, width], each of length 1.
        templates: The sentences that the names were put into; a single ``"{}"``: the names alone.
        scale: What cosines are multiplied with, the exponential of CLIP's ``logit_scale``; None:
            unknown.
        bias: What is added, SigLIP's ``logit_bias``; None: unknown or nothing.
        text_encoder: SHA-256 of the text encoder's file; None: unknown.

    Raises:
        InputError: A name is empty or given twice, or the vectors do not fit the names.
    """

    names: list[str]
    vectors: NDArray[np.float32] = field(repr=False)
    templates: list[str] = field(default_factory=lambda: [PLACE])
    scale: float | None = None
    bias: float | None = None
    text_encoder: str | None = None

    def __post_init__(self) -> None:
        """Check names and vectors, and divide the vectors by their lengths."""
        _check_names(self.names)
        given = np.asarray(self.vectors)
        shaped = given.ndim == 2 and len(given) == len(self.names) and given.shape[1]
        if given.dtype.kind not in "fiu" or not shaped:
            raise InputError(
                f"a bank of {len(self.names)} names has vectors {given.dtype} "
                f"{list(given.shape)}; give numbers [{len(self.names)}, width]"
            )
        lengths = np.linalg.norm(given.astype(np.float64), axis=1)
        for name, length in zip(self.names, lengths, strict=True):
            if not np.isfinite(length) or length == 0:
                raise InputError(f"the embedding of '{name}' has length {length:g}: no direction")
        # Vectors that have length 1 stay as they are, bit by bit.
        exact = np.abs(lengths - 1).max() < _ROUNDING
        vectors = given.astype(np.float32) if exact else unit(given).astype(np.float32)
        object.__setattr__(self, "vectors", vectors)

    @property
    def width(self) -> int:
        """Numbers of an embedding."""
        return self.vectors.shape[1]

    @property
    def sha256(self) -> str:
        """SHA-256 of the vectors, as little-endian float32 in the order of the names."""
        return digest_of(self.vectors)

    def rows(self, prompts: Sequence[str]) -> list[int]:
        """Return the places of names, given in any case.

        Raises:
            InputError: The bank has no such name; the message names the nearest.
        """
        from difflib import get_close_matches  # seldom needed, and slow to import

        known = {name.casefold(): row for row, name in reversed([*enumerate(self.names)])}
        exact = {name: row for row, name in enumerate(self.names)}
        found: list[int] = []
        for prompt in prompts:
            row = exact.get(prompt, known.get(prompt.strip().casefold()))
            if row is None:
                near = get_close_matches(prompt.casefold(), known, n=3, cutoff=0.4)
                shown = [self.names[known[one]] for one in near] or self.names[:3]
                raise InputError(
                    f"the bank has no '{prompt}'; it has {len(self.names)} names, such as "
                    f"{', '.join(map(repr, shown))} (`graftcam prompts` makes another bank)"
                )
            found.append(row)
        return found

    def only(self, prompts: Sequence[str]) -> Bank:
        """Return the bank of some of its names.

        Raises:
            InputError: As `rows`.
        """
        rows = [*dict.fromkeys(self.rows(prompts))]
        return replace(self, names=[self.names[row] for row in rows], vectors=self.vectors[rows])

    def write(self, path: str | Path) -> Path:
        """Write the bank to an ``.npz`` file: ``vectors``, and a ``record`` in JSON.

        Raises:
            InputError: The file cannot be written, or its name has another ending.
        """
        path = Path(path)
        check_bank_name(path)
        texts = _Texts(self.names, self.templates, self.scale, self.bias, self.text_encoder)
        record = json.dumps(written(texts), sort_keys=True, ensure_ascii=False).encode()
        with atomic_write(path, InputError) as place, place.open("wb") as file:
            np.savez(file, vectors=self.vectors, record=np.frombuffer(record, np.uint8))
        return path


def read_bank(bank: Bank | str | Path) -> Bank:
    """Read the file that `Bank.write` wrote; a Bank is returned as it is.

    Raises:
        InputError: The file is missing, or no bank.
    """
    if isinstance(bank, Bank):
        return bank
    remedy = "make one with `graftcam prompts`"
    check_bank_name(Path(bank))
    entries = read_tensor(bank)
    if not isinstance(entries, dict) or set(entries) != _ENTRIES:
        raise InputError(f"{bank} is no bank of prompts; {remedy}")
    numbers = {name: one.values for name, one in entries.items()}
    try:
        record = numbers["record"]
        if record.dtype != np.uint8 or record.ndim != 1:
            raise SpecError("its record is no text")
        texts = parse_record(_Texts, read_json(record.tobytes().decode()), "record")
    except (SpecError, ValueError) as error:
        raise InputError(f"{bank} is no bank of prompts ({first_line(error)}); {remedy}") from error
    try:
        return Bank(
            texts.names, numbers["vectors"], texts.templates, texts.scale, texts.bias,
            texts.text_encoder,
        )  # fmt: skip
    except InputError as error:
        raise InputError(f"{bank}: {error}; {remedy}") from None


def make_bank(
    encode: Encode,
    names: Sequence[str],
    templates: Sequence[str] = (PLACE,),
    *,
    scale: float | None = None,
    bias: float | None = None,
    text_encoder: str | None = None,
) -> Bank:
    """Encode names, and return the bank of them.

    Each name is put into every template; the embeddings of its sentences are divided by their
    lengths and averaged (Radford et al. 2021, section 3.1.4).

    Args:
        encode: Returns the embeddings of a list of texts, [texts, width]; such as a
            `runtime.inputs.text_encoder.TextEncoder`, or a function around a module's
            ``get_text_features``.
        names: The names; duplicates are left out.
        templates: Sentences with ``{}`` in the name's place, such as ``"a photo of a {}"``.
        scale: See `Bank`.
        bias: Likewise.
        text_encoder: Likewise; None: that of ``encode``, if it has one.

    Raises:
        InputError: There is no name, a name is empty, a template has no place for a name, or the
            embeddings have another shape, or are all the same.
    """
    names = list(dict.fromkeys(one.strip() for one in names))
    _check_names(names)
    templates = list(templates) or [PLACE]
    for template in templates:
        if template.count(PLACE) != 1:
            raise InputError(
                f"template '{template}' has {template.count(PLACE)} places for a name; write "
                "{} once, as in 'a photo of a {}'"
            )
    texts = [template.replace(PLACE, name) for name in names for template in templates]
    parts = [
        _embeddings(encode, texts[at : at + _BATCH]) for at in range(0, len(texts), _BATCH)
    ]  # fmt: skip
    single = unit(np.concatenate(parts).astype(np.float64))
    vectors = single.reshape(len(names), len(templates), -1).mean(axis=1)
    if len(names) > 1 and np.ptp(vectors, axis=0).max() < _ROUNDING:
        raise InputError(
            f"the text encoder gives all {len(names)} prompts the same embedding, as if it did not "
            "read them; export it again, with an example for each of its inputs"
        )
    known = text_encoder or getattr(encode, "sha256", None)
    return Bank(names, vectors.astype(np.float32), templates, scale, bias, known)


def unit(vectors: NDArray[Any]) -> NDArray[Any]:
    """Divide vectors [..., width] by their lengths; zeros stay, and integers become float32."""
    wide = vectors.astype(np.float64)
    lengths = np.linalg.norm(wide, axis=-1, keepdims=True)
    dtype = np.float64 if vectors.dtype == np.float64 else np.float32
    return (wide / np.where(lengths == 0, 1.0, lengths)).astype(dtype)


def digest_of(vectors: NDArray[Any]) -> str:
    """Return the SHA-256 of a bank's vectors; see `Bank.sha256`."""
    return hashlib.sha256(np.ascontiguousarray(vectors, "<f4").tobytes()).hexdigest()


def check_bank_name(path: Path) -> None:
    """Raise InputError unless the path ends as a bank's file does."""
    if path.suffix.lower() != SUFFIX:
        raise InputError(f"{path} is no name of a bank; call it {path.stem or 'bank'}{SUFFIX}")


def _check_names(names: Sequence[str]) -> None:
    if not names:
        raise InputError("no prompts; give one name or more")
    if any(not name.strip() for name in names):
        raise InputError("a prompt is empty; leave it out, or write what to look for")
    if len({*names}) < len(names):
        twice = next(name for name, count in Counter(names).items() if count > 1)
        raise InputError(f"the prompt '{twice}' is given twice; give each once")


def _embeddings(encode: Encode, texts: list[str]) -> NDArray[Any]:
    """Return the embeddings of texts as an array [texts, width], or raise InputError."""
    found = encode(texts)
    for name in _FIELDS:  # of an output of transformers
        found = getattr(found, name, found)
    found = found.detach().cpu().float().numpy() if hasattr(found, "detach") else found
    array = np.asarray(found)
    if array.ndim != 2 or len(array) != len(texts) or array.dtype.kind != "f":
        raise InputError(
            f"the text encoder gives {array.dtype} {list(array.shape)} for {len(texts)} texts; it "
            f"must give floats [{len(texts)}, width]"
        )
    return array
