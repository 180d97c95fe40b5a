"""These options name the texts that an image is compared with; `bank_from` encodes them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click import option

from ..runtime.plain_text import plain
from .common import note
from .options import FILE
from .sections import Section, under

if TYPE_CHECKING:
    from ..runtime.inputs.bank import Bank
    from ..runtime.spec import Spec

TEXTS = Section(
    "Texts",
    "A model that compares images with texts, such as CLIP or SigLIP, explains texts as if they "
    "were classes.",
)
template_option = option(
    "--template", "templates", multiple=True, metavar="TEXT",
    help="Sentence that each prompt is put into, with {} in its place, such as 'a photo of a {}'; "
         "repeatable: the embeddings of all sentences are averaged.",
)  # fmt: skip
length_option = option(
    "--length", type=click.IntRange(1), metavar="N",
    help="Pad every text to N tokens, as SigLIP needs it (64). Default: what the encoder's file or "
         "the tokenizer fixes.",
)  # fmt: skip
pad_option = option(
    "--pad", metavar="TOKEN",
    help="Token that fills texts up to the length, such as '</s>' for SigLIP. Default: what the "
         "tokenizer says.",
)  # fmt: skip
words_options = under(
    TEXTS,
    option("-p", "--prompt", "prompts", multiple=True, metavar="TEXT",
           help="A text to explain; repeatable."),
    option("--bank", type=FILE, metavar="FILE.npz",
           help="The bank of texts that `graftcam prompts` wrote. The prompts "
                "are its names; without one, those with the best scores are explained."),
    option("--text-encoder", type=FILE, metavar="FILE.onnx",
           help="In place of a bank: encode the prompts by this model, with "
                "--tokenizer."),
    option("--tokenizer", type=FILE, metavar="FILE.json",
           help="The tokenizer.json of the text encoder."),
    template_option,
    length_option,
    pad_option,
)  # fmt: skip


def bank_from(
    prompts: Sequence[str], bank: Path | None, text_encoder: Path | None, tokenizer: Path | None,
    templates: Sequence[str], length: int | None, pad: str | None,
) -> Bank | Path | None:  # fmt: skip
    """Return the bank that the options name: a file, or the prompts as they are encoded now.

    Raises:
        click.UsageError: An option is given without the one that it belongs to.
        GraftcamError: The encoder or the tokenizer cannot be read, or a prompt is too long.
    """
    if text_encoder is None:
        stray = {"--tokenizer": tokenizer, "--template": templates, "--length": length,
                 "--pad": pad}  # fmt: skip
        given = [name for name, value in stray.items() if value]
        if given:
            raise click.UsageError(f"{', '.join(given)} goes with --text-encoder; give that, too")
        return bank
    if bank is not None:
        raise click.UsageError("--bank has its embeddings already; leave --text-encoder out")
    if not prompts:
        raise click.UsageError("--text-encoder encodes prompts; give --prompt")
    if tokenizer is None:
        raise click.UsageError("--text-encoder needs the --tokenizer that belongs to it")
    from ..runtime.inputs.bank import make_bank
    from ..runtime.inputs.text_encoder import TextEncoder

    encoder = TextEncoder(text_encoder, tokenizer, length=length, pad=pad)
    return make_bank(encoder, prompts, templates or ("{}",))


def texts_of(bank: Bank | Path | None, prompts: Sequence[str]) -> Bank | None:
    """Return the texts that images are compared with: of a bank those of some names, if any.

    Raises:
        click.UsageError: There are prompts and no bank.
        InputError: The bank cannot be read, or lacks a name.
    """
    if bank is None:
        if prompts:
            raise click.UsageError("--prompt goes with --bank, or with --text-encoder")
        return None
    from ..runtime.inputs.bank import read_bank

    found = read_bank(bank)
    return found.only(prompts) if prompts else found


def say_unchecked(spec: Spec, bank: Bank | Path | None) -> None:
    """Say on stderr where only the width shows that a bank belongs to an artifact."""
    if bank is None:
        return
    from ..runtime.inputs.bank import read_bank
    from ..runtime.inputs.prompts import unchecked

    reason = unchecked(spec, read_bank(bank))
    if reason is not None:
        note(plain(f"note: {reason}"))
