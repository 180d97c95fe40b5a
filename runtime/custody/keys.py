"""`private_key` reads the key of a signer."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from ..errors import CustodyError, system_errors

_SIZES = (256, 384, 521)  # bits of the curves that signatures know


def private_key(path: Path) -> Any:
    """Return a private key of ``cryptography``.

    Args:
        path: A PEM file, not encrypted, with a key of one of the curves P-256, P-384 and P-521.

    Raises:
        CustodyError: It cannot be read or is another one, or `cryptography` is missing.
    """
    with system_errors(CustodyError, f"cannot read {path}"):
        pem = path.read_bytes()
    serialization, ec = primitives("serialization"), primitives("asymmetric.ec")
    wanted = "give an unencrypted PEM file with an elliptic curve's key, P-256, P-384 or P-521"
    try:
        key = serialization.load_pem_private_key(pem, None)
    except Exception as error:  # of several kinds
        reason = " ".join(str(error).split())
        raise CustodyError(f"cannot sign with {path}: {reason}; {wanted}") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.key_size not in _SIZES:
        raise CustodyError(f"cannot sign with {path}: it is a key of another kind; {wanted}")
    return key


def primitives(name: str) -> Any:
    """Return a module of ``cryptography.hazmat.primitives``.

    Raises:
        CustodyError: `cryptography` is missing.
    """
    return optional(f"cryptography.hazmat.primitives.{name}")


def optional(name: str) -> Any:
    """Return a module of a package that only signatures need.

    Raises:
        CustodyError: It is missing.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        package = (error.name or name).partition(".")[0]
        raise CustodyError(
            f'{package} missing; signatures need: pip install "graftcam[sign]"'
        ) from error
