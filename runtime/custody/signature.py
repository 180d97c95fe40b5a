"""These functions sign artifacts in the OpenSSF model signing format, and check signatures.

The package `model-signing` does both (extra ``graftcam[sign]``). A signature is a file of its own:
a Sigstore bundle with the SHA-256 of each of the artifact's files.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Generator, Iterable, Sequence
from pathlib import Path
from typing import Any

from ..errors import CustodyError, GraftcamError
from ..writing import atomic_write, guard
from .digests import check_digests
from .files import files_of
from .keys import optional, private_key

# Of the package's message about a file: digests as Python prints their bytes.
_HASHES = re.compile(r""": Expected 'Digest\(.*?["']\)', Actual 'Digest\(.*?["']\)'""")


def sign(
    artifact: Path,
    signature: Path,
    key: Path,
    certificate: Path | None = None,
    chain: Sequence[Path] = (),
) -> list[Path]:
    """Sign an artifact with its heads and the files with its weights.

    Args:
        artifact: The file; its graph and weights must have the digests of its export.
        signature: The file to write.
        key: The private key, an elliptic curve's in PEM (P-256, P-384 or P-521), not encrypted.
        certificate: The certificate of the key, in PEM; None: verifiers have the public key.
        chain: Files of the certificates between that one and the root.

    Returns:
        The files that were signed.

    Raises:
        CustodyError: `model-signing` is missing, a file changed after the export or is missing, or
            the key is of another kind.
        SpecError: The file is no artifact.
    """
    package = _package()
    private_key(key)  # for an error of our own
    check_digests(artifact, required=False)
    files = files_of(artifact)
    given = [*files, key, *chain, *([] if certificate is None else [certificate])]
    for one in given:
        if not one.is_file():
            raise CustodyError(f"{one}: no such file; it is needed to sign")
    guard(signature, given, CustodyError)
    with _one_line(f"cannot sign {artifact}"):
        config = package.signing.Config()
        if certificate is None:
            config.use_elliptic_key_signer(private_key=key)
        else:
            # The package (1.1.1) cannot read an empty chain.
            config.use_certificate_signer(
                private_key=key,
                signing_certificate=certificate,
                certificate_chain=chain or [certificate],
            )
        config.set_hashing_config(_only(package, files))
        with atomic_write(signature, CustodyError) as draft:
            config.sign(artifact.parent, draft)
    return files


def check_signature(
    artifact: Path, signature: Path, key: Path | None = None, chain: Sequence[Path] = ()
) -> list[Path]:
    """Check that a signature is of exactly the files of an artifact.

    Args:
        artifact: The file.
        signature: Its signature.
        key: The signer's public key, in PEM; None: the signature has a certificate.
        chain: Files of the certificates that are trusted, in PEM.

    Returns:
        The files that were signed.

    Raises:
        CustodyError: A file is not as it was signed, is missing, or was not signed; the signature
            is by another key or damaged; or `model-signing` is missing.
        SpecError: The file is no artifact.
    """
    package = _package()
    files = files_of(artifact)
    for given in (signature, *([] if key is None else [key]), *chain):
        if not given.is_file():
            raise CustodyError(f"{given}: no such file; it is needed to check the signature")
    with _one_line(f"{signature} does not prove that {artifact} is as it was signed"):
        config = package.verifying.Config()
        if key is None:
            config.use_certificate_verifier(certificate_chain=chain)
        else:
            config.use_elliptic_key_verifier(public_key=key)
        config.set_hashing_config(_only(package, files)).verify(artifact.parent, signature)
    return files


def _package() -> Any:
    """Return `model-signing`, with the modules that are used."""
    for name in ("hashing", "signing", "verifying"):
        optional(f"model_signing.{name}")
    return optional("model_signing")


def _only(package: Any, files: Iterable[Path]) -> Any:
    """Return how to hash: the files of the artifact, whatever else is in the folder.

    A signature may ask to ignore files; then it does not cover them, so that this is not done.
    """

    class Only(package.hashing.Config):
        def hash(self, model_path: Any, **_more: Any) -> Any:
            return super().hash(model_path, files_to_hash=list(files))

        def add_ignored_paths(self, **_paths: Any) -> None:
            return

    return Only().set_allow_symlinks(True)  # as a hub's cache has them; the content counts


@contextlib.contextmanager
def _one_line(failed: str) -> Generator[None]:
    """Raise any error of the package, whose exceptions share no base, as CustodyError."""
    try:
        yield
    except GraftcamError:
        raise
    except Exception as error:
        said = str(error).replace("\\'", "'")  # the package prints a list
        reason = " ".join(_HASHES.sub("", said).split()) or type(error).__name__
        raise CustodyError(f"{failed}: {reason}") from error
