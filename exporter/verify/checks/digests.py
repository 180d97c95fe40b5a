"""This module compares an artifact with the digests that its export stored."""

from __future__ import annotations

from pathlib import Path

from ....runtime.custody.digests import NONE, compare_digests
from ....runtime.errors import CustodyError
from ..verdict.findings import Finding, Status

_STATUS: dict[bool | None, Status] = {True: "pass", False: "fail", None: "skipped"}


def check_digests(artifact: Path) -> list[Finding]:
    """Compare graph, weights and the heads beside the artifact with the digests in it."""
    try:
        compared = compare_digests(artifact)
    except CustodyError as error:
        reason = str(error).replace(str(artifact), artifact.name)
        return [Finding("digests", "", "fail", reason=reason)]
    if not compared:
        return [Finding("digests", "", "skipped", reason=NONE)]
    return [
        Finding("digests", one.subject, _STATUS[one.same], reason=one.reason) for one in compared
    ]
