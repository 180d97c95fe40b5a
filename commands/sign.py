"""`graftcam sign` signs an artifact with a key or a certificate."""

from __future__ import annotations

from pathlib import Path

import click

from ..runtime.plain_text import plain
from .common import command, tell
from .models import ModelFile
from .options import FILE, json_option, to_option


@command(
    "graftcam sign resnet50.onnx --key key.pem",
    "graftcam sign resnet50.onnx --key key.pem --certificate release.pem --chain ca.pem -o r.sig",
)
@click.argument("artifact", type=ModelFile())
@click.option("--key", type=FILE, required=True, metavar="FILE",
              help="The private key, of an elliptic curve (P-256, P-384 or P-521), as an "
                   "unencrypted PEM file.")  # fmt: skip
@click.option("--certificate", type=FILE, metavar="FILE",
              help="The key's certificate in PEM, for verifiers that trust its issuer. Default: "
                   "verifiers need the public key.")  # fmt: skip
@click.option("--chain", type=FILE, multiple=True, metavar="FILE",
              help="Certificates between that one and the root, in PEM; repeatable.")  # fmt: skip
@to_option("path", "FILE", "The signature to write. Default: ARTIFACT.sig.", required=False)
@json_option
def sign(
    artifact: Path, key: Path, certificate: Path | None, chain: tuple[Path, ...],
    path: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """Sign ARTIFACT with its heads and weights, in the OpenSSF model signing format.

    The signature is a file of its own; ARTIFACT stays as it is. `graftcam verify --signature`
    checks it where the artifact is received, without PyTorch. An artifact that changed after its
    export is not signed.
    """
    if chain and certificate is None:
        raise click.UsageError("--chain leads from a certificate; give it with --certificate")
    from ..runtime.custody.signature import sign as run

    path = artifact.with_name(f"{artifact.name}.sig") if path is None else path
    files = run(artifact, path, key, certificate, chain)
    names = [one.name for one in files]
    record = {"signature": path, "files": names}
    tell(record, plain(f"{path}: signature of {', '.join(names)}"), as_json=as_json)
