"""`graftcam prompts` writes a bank of texts for models that compare images with texts."""

from __future__ import annotations

from pathlib import Path

import click

from ..runtime.errors import InputError
from ..runtime.limits import LABEL_BYTES
from ..runtime.plain_text import plain
from ..runtime.reading import read_file
from .common import command, tell
from .models import ModelFile
from .options import FILE, json_option, to_option
from .words import length_option, pad_option, template_option


@command(
    "graftcam prompts text.onnx --tokenizer tokenizer.json -p dog -p cat -o bank.npz",
    "graftcam prompts text.onnx --tokenizer tokenizer.json --file names.txt \\",
    "    --template 'a photo of a {}' --template 'a drawing of a {}' --scale 100 -o bank.npz",
)
@click.argument("text_encoder", type=ModelFile("the text encoder as an ONNX file"))
@click.option("--tokenizer", type=FILE, required=True, metavar="FILE.json",
              help="The tokenizer.json of the text encoder.")  # fmt: skip
@click.option("-p", "--prompt", "prompts", multiple=True, metavar="TEXT",
              help="A text, or a name for the templates; repeatable.")  # fmt: skip
@click.option("--file", "listed", type=FILE, metavar="FILE",
              help="More of them: a text file with one on each line.")  # fmt: skip
@template_option
@length_option
@pad_option
@click.option("--output", metavar="NAME",
              help="Output of the text encoder with the embeddings. Default: the only one of two "
                   "axes, or the one that its name shows.")  # fmt: skip
@click.option("--scale", type=float, metavar="N",
              help="What cosines are multiplied with, for exports with the bank: the exponential "
                   "of the model's logit_scale, such as 100.")  # fmt: skip
@click.option("--bias", type=float, metavar="N",
              help="What is added to them: SigLIP's logit_bias.")  # fmt: skip
@to_option("path", "FILE.npz", "The bank to write.")
@json_option
def prompts(
    text_encoder: Path, tokenizer: Path, prompts: tuple[str, ...], listed: Path | None,
    templates: tuple[str, ...], length: int | None, pad: str | None, output: str | None,
    scale: float | None, bias: float | None, path: Path, as_json: bool,
) -> None:  # fmt: skip
    """Write a bank of prompts: their embeddings by TEXT_ENCODER, an ONNX file.

    The encoder is the text half of a model such as CLIP or SigLIP. `graftcam explain --bank` and
    `graftcam export --score similarity --bank` take the bank. It needs the package tokenizers:
    pip install "graftcam[words]".
    """
    from ..runtime.inputs.bank import check_bank_name, make_bank
    from ..runtime.inputs.text_encoder import TextEncoder

    check_bank_name(path)
    names = [*prompts, *(_lines(listed) if listed is not None else [])]
    if not names:
        raise click.UsageError("no prompts; give --prompt or --file")
    encoder = TextEncoder(text_encoder, tokenizer, output, length, pad)
    bank = make_bank(encoder, names, templates or ("{}",), scale=scale, bias=bias)
    bank.write(path)
    made = len(bank.names) * len(bank.templates)
    about = f"{len(bank.names)} prompts" if made == len(bank.names) else (
        f"{len(bank.names)} prompts in {len(bank.templates)} templates"
    )  # fmt: skip
    record = {
        "bank": path, "prompts": list(bank.names), "templates": list(bank.templates),
        "width": bank.width, "text_encoder": encoder.sha256,
    }  # fmt: skip
    digest = encoder.sha256[:12]
    text = f"{path}: {about}, embeddings of {bank.width} numbers, text encoder {digest}"
    tell(record, plain(text), as_json=as_json)


def _lines(file: Path) -> list[str]:
    """Return the lines of a text file that are not empty."""
    try:
        text = read_file(file, InputError, LABEL_BYTES, "the prompts").decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{file} is no text in UTF-8: {error.reason}") from error
    return [line.strip() for line in text.splitlines() if line.strip()]
