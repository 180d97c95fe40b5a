"""`graftcam verify --signature` checks who signed an artifact, and that it is as it was signed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from .guarded import Destination
from .options import FILE
from .sections import Section, under

custody_options = under(
    Section("Signature and attestation"),
    click.option("--signature", type=FILE, metavar="FILE",
                 help="Signature of the artifact, which `graftcam sign` or `model_signing sign` "
                      "wrote. Alone it needs no PyTorch, and nothing is compared with a source."),
    click.option("--public-key", type=FILE, metavar="FILE",
                 help="The signer's public key, in PEM."),
    click.option("--certificate-chain", "chain", type=FILE, multiple=True, metavar="FILE",
                 help="Certificates that you trust, in PEM, for a signature with a certificate; "
                      "repeatable."),
    click.option("--attest", type=Destination(), metavar="FILE",
                 help="Write the verdict to this file as an in-toto attestation (test-result)."),
    click.option("--key", type=FILE, metavar="FILE",
                 help="Private key that signs the attestation, as for `graftcam sign`. Default: "
                      "it is not signed."),
)  # fmt: skip


def checked_key(
    signature: Path | None, public_key: Path | None, chain: Sequence[Path], attest: Path | None,
    key: Path | None,
) -> Any:  # fmt: skip
    """Refuse options that lack the one that they belong to, and read the key.

    Returns:
        The key that signs the attestation; None if there is none.

    Raises:
        CustodyError: It cannot be read, or is of another kind.
    """
    if signature is None and (public_key or chain):
        raise click.UsageError("--public-key and --certificate-chain check a --signature")
    if signature is not None and bool(public_key) == bool(chain):
        raise click.UsageError("--signature needs either --public-key or --certificate-chain")
    if key is not None and attest is None:
        raise click.UsageError("--key signs an attestation; give its file with --attest")
    if key is None:
        return None
    from ..runtime.custody.keys import private_key

    return private_key(key)


def check_signature(
    artifact: Path, signature: Path, public_key: Path | None, chain: Sequence[Path], *,
    alone: bool,
) -> None:  # fmt: skip
    """Check a signature and say what it covers.

    Args:
        artifact: The file.
        signature: Its signature.
        public_key: The signer's key.
        chain: Trusted certificates instead.
        alone: Nothing else is checked: also compare the digests, and print the verdict that the
            artifact brings along.

    Raises:
        CustodyError: See `runtime.custody`.
    """
    from ..runtime.custody.digests import NONE, compare_digests
    from ..runtime.custody.entries import read_spec
    from ..runtime.custody.signature import check_signature as run
    from ..runtime.errors import CustodyError

    files = run(artifact, signature, public_key, chain)
    lines = [f"pass  signature    {', '.join(one.name for one in files)}"]
    if alone:
        compared = compare_digests(artifact)
        if changed := [one.reason for one in compared if one.same is False]:
            raise CustodyError(f"{artifact}: {'; '.join(changed)}")
        lines += [f"pass  digests      {one.subject}" for one in compared if one.same]
        lines += [] if compared else [f"skip  digests: {NONE}"]
        verdict = read_spec(artifact).verification
        lines.append(
            f"{artifact.name} is as it was signed; the verdict of its export: {verdict.verdict} "
            f"({verdict.reference})"
        )
    click.echo("\n".join(lines), err=not alone)


def write_attestation(artifact: Path, path: Path, report: str, key: Any) -> None:
    """Write the verdict of ``report``, JSON, as an attestation, signed if there is a key.

    Raises:
        CustodyError: See `runtime.custody`; or the file cannot be written.
    """
    from ..runtime.custody.attestation import signed, statement
    from ..runtime.custody.files import files_of
    from ..runtime.errors import CustodyError
    from ..runtime.writing import guard, replace_file

    files = files_of(artifact)
    guard(path, files, CustodyError)
    made = statement(files, json.loads(report))
    made = made if key is None else signed(made, key)
    replace_file(path, f"{json.dumps(made, indent=2)}\n".encode(), CustodyError)
