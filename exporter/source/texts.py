"""These functions check what an export is given of texts: a bank, and the text encoder."""

from __future__ import annotations

from pathlib import Path

from ...runtime.bounds import Digest
from ...runtime.checks import matches
from ...runtime.errors import InputError
from ...runtime.inputs.bank import Bank, read_bank
from ...runtime.inputs.text_encoder import encoder_sha256
from ...runtime.settings import Score
from ..errors import ScoreError, SettingsError, in_line


def bank_for(bank: Bank | str | Path | None, score: Score, labels: object) -> Bank | None:
    """The bank of texts that an embedding is scored against.

    Raises:
        SettingsError: It is given with another score, has too few names, or no bank is in the file.
    """
    if score.kind != "similarity":
        if bank is not None:
            raise SettingsError(
                f"a bank of texts goes with score='similarity' (--score similarity), not "
                f"{score.kind!r}"
            )
        return None
    if labels is not None:
        whose = "the bank's names are the labels" if bank is not None else "texts are fed"
        raise SettingsError(f"labels with a similarity score: {whose}; leave labels (--labels) out")
    if bank is None:
        return None
    try:
        found = read_bank(bank)
    except InputError as error:
        raise SettingsError(str(error)) from error
    if len(found.names) < 2:
        raise SettingsError(
            f"the bank has one name, {found.names[0]!r}, and a classifier needs two or more; add "
            "others, or leave the bank (--bank) out and feed the text"
        )
    own, given = found.text_encoder, score.text_encoder
    if own and given and own != given:
        raise SettingsError(
            f"the bank was made by text encoder {own[:12]}, not by {given[:12]} of text_encoder "
            "(--text-encoder); make it again with `graftcam prompts`"
        )
    return found


def encoder_digest(value: object) -> str | None:
    """The SHA-256 of a text encoder's file, or the given one.

    Raises:
        ScoreError: There is no such file.
    """
    if value is None or (isinstance(value, str) and matches(value, Digest)):
        return value
    if not isinstance(value, (str, Path)):
        raise ScoreError(f"text_encoder={in_line(value)} is no file; give the ONNX file's path")
    try:
        return encoder_sha256(Path(value))
    except InputError as error:
        raise ScoreError(f"text_encoder: {error}") from error
