"""These functions write a verdict as an in-toto attestation, which other tools read.

It is a Statement (version 1) with the predicate test-result: the subjects are the artifact's files
by their SHA-256, the tests are the checks of `graftcam verify`, and the configuration holds what
the artifact was compared with. A signed one is in a DSSE envelope.

https://github.com/in-toto/attestation, https://github.com/secure-systems-lab/dsse
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .files import sha256_of
from .keys import primitives

PAYLOAD_TYPE = "application/vnd.in-toto+json"
_STATEMENT = "https://in-toto.io/Statement/v1"
_PREDICATE = "https://in-toto.io/attestation/test-result/v0.1"
_RESULTS = {"pass": "PASSED", "fail": "FAILED", "unproven": "WARNED"}
_LISTS = {"pass": "passedTests", "unproven": "warnedTests", "fail": "failedTests"}
_ABOUT = ("against", "reference", "inputs", "versions")


def statement(files: Sequence[Path], report: Mapping[str, Any]) -> dict[str, Any]:
    """Return the attestation of a verdict.

    Args:
        files: The artifact's files.
        report: The JSON report of `graftcam verify`; see docs/verification.schema.json.

    Raises:
        CustodyError: A file cannot be read.
    """
    # A check may have several findings; the worst one counts.
    worst: dict[str, str] = {}
    for one in report["checks"]:
        states = ["pass", "skipped", "unproven", "fail"]
        known = worst.get(one["check"], "pass")
        worst[one["check"]] = max(known, one["status"], key=states.index)
    tests = {
        name: [check for check, state in worst.items() if state == status]
        for status, name in _LISTS.items()
    }
    version = report["versions"].get("graftcam", "")
    tool = {
        "name": "graftcam verify",
        "uri": f"pkg:generic/graftcam@{version}",
        "annotations": {name: report[name] for name in _ABOUT},
    }
    predicate = {"result": _RESULTS[report["verdict"]], "configuration": [tool], **tests}
    subjects = [{"name": one.name, "digest": {"sha256": sha256_of(one)}} for one in files]
    return {
        "_type": _STATEMENT,
        "subject": subjects,
        "predicateType": _PREDICATE,
        "predicate": predicate,
    }


def signed(statement: Mapping[str, Any], key: Any) -> dict[str, Any]:
    """Return the DSSE envelope of a statement.

    Args:
        statement: What to sign.
        key: The private key; see `keys.private_key`.
    """
    hashes, serialization, ec = map(primitives, ("hashes", "serialization", "asymmetric.ec"))
    # As model-signing pairs them, and names a key in its bundles.
    kind = {256: hashes.SHA256, 384: hashes.SHA384, 521: hashes.SHA512}[key.curve.key_size]
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    payload = json.dumps(statement, separators=(",", ":")).encode()
    made = base64.b64encode(key.sign(encoded(payload), ec.ECDSA(kind())))
    return {
        "payloadType": PAYLOAD_TYPE,
        "payload": base64.b64encode(payload).decode(),
        "signatures": [{"keyid": hashlib.sha256(public).hexdigest(), "sig": made.decode()}],
    }


def encoded(payload: bytes) -> bytes:
    """Return what a DSSE signature is of: type and payload with their lengths."""
    return b"DSSEv1 %d %s %d %s" % (
        len(PAYLOAD_TYPE), PAYLOAD_TYPE.encode(), len(payload), payload,
    )  # fmt: skip
