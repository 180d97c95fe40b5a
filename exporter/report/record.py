"""A `Record` is what `graftcam verify --json` and an export's report.json say, read again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from ...runtime.checks import matches, types_of
from ...runtime.errors import GraftcamError
from ...runtime.reading import read_file
from ...runtime.strict_json import read_json
from ..verify.verdict.findings import CHECKS, Finding, Verdict
from ..verify.verdict.report import SCHEMA_VERSION

VerdictWord = Literal["pass", "fail", "unproven", "skipped", "error"]
REPORT = "report.json"
_LARGEST = 1 << 26  # bytes of a record


@dataclass(frozen=True)
class Record:
    """The verification of one artifact.

    Attributes:
        verdict: ``pass``, ``fail``, ``unproven``, ``skipped`` (nothing was verified) or ``error``
            (the export failed before there was a file).
        file: The artifact's file name.
        name: The model's name; the file's if it has none.
        sha256: Digest of the file; None: there is none.
        size: Its bytes, likewise.
        reference: What gradients were compared with.
        random: Number of random inputs.
        given: Number of given images.
        findings: Every check.
        seconds: Time by step.
        message: Why the export failed; else empty.
        path: Where the record was read; None: it was made just now.
    """

    verdict: VerdictWord
    file: str
    name: str
    sha256: str | None
    size: int | None
    reference: str
    random: int
    given: int
    findings: list[Finding]
    seconds: dict[str, float]
    message: str = ""
    path: Path | None = None

    @classmethod
    def of(cls, data: Mapping[str, Any], path: Path | None = None) -> Record:
        """Return the record in a report's plain JSON types, which are right."""
        about, inputs = data["artifact"], data["inputs"]
        return cls(
            data["verdict"], about["file"], about["name"] or about["file"], about["sha256"],
            about["bytes"], data["reference"], inputs["random"], inputs["given"],
            [Finding(**one) for one in data["checks"]], dict(data["seconds"]),
            data.get("error", {}).get("message", ""), path,
        )  # fmt: skip

    def of_status(self, *words: str) -> list[Finding]:
        """Return the findings of a status."""
        return [one for one in self.findings if one.status in words]

    @property
    def stopped(self) -> list[str]:
        """The checks that were not made since another one failed."""
        return Verdict(self.findings).stopped


def read_records(paths: Iterable[Path]) -> list[Record]:
    """Read records, and those in folders and below them, in the order of their paths.

    Raises:
        GraftcamError: A file is no record, or a folder has none.
    """
    files: dict[Path, None] = {}
    for path in paths:
        found = sorted(path.rglob(REPORT)) if path.is_dir() else [path]
        if not found:
            raise GraftcamError(
                f"{path} and its folders have no {REPORT}; write one by `graftcam export "
                "--report`, or give files of `graftcam verify --json`"
            )
        files.update(dict.fromkeys(one.resolve() for one in found))
    return [read_record(file) for file in files]


def read_record(path: Path) -> Record:
    """Read one record.

    Raises:
        GraftcamError: It cannot be read, or is none.
    """
    raw = read_file(path, GraftcamError, _LARGEST)
    try:
        data = read_json(raw)
    except ValueError as error:
        raise _no_record(path, str(error)) from error
    kinds = {
        "schema": int, "verdict": VerdictWord, "artifact": dict, "reference": str, "inputs": dict,
        "checks": list[dict[str, Any]], "seconds": dict[str, float],
    }  # fmt: skip
    _check(path, "it", data, kinds)
    if data["schema"] != SCHEMA_VERSION:
        raise _no_record(path, f"its schema is {data['schema']}, and {SCHEMA_VERSION} is known")
    texts = {"file": str, "name": str | None, "sha256": str | None, "bytes": int | None}
    _check(path, "artifact", data["artifact"], texts)
    _check(path, "inputs", data["inputs"], {"random": int, "given": int})
    if data["verdict"] == "error":
        _check(path, "error", data.get("error"), {"message": str})
    fields = {**types_of(Finding), "check": Literal[tuple(CHECKS)]}
    for number, one in enumerate(data["checks"]):
        _check(path, f"checks[{number}]", {"largest": None, **one}, fields)
        unknown = sorted(set(one) - set(fields))
        if unknown:
            raise _no_record(path, f"checks[{number}] has an unknown field {unknown[0]!r}")
    return Record.of(data, path)


def _check(path: Path, where: str, value: Any, kinds: Mapping[str, Any]) -> None:
    if not isinstance(value, dict):
        raise _no_record(path, f"{where} is no object")
    entries = cast("dict[str, Any]", value)
    for name, kind in kinds.items():
        if name not in entries:
            raise _no_record(path, f"{where} has no field {name!r}")
        if not matches(entries[name], kind):
            raise _no_record(path, f"{where} has a wrong {name!r}")


def _no_record(path: Path, why: str) -> GraftcamError:
    return GraftcamError(
        f"{path} is no record of a verification ({why}); give files of `graftcam verify --json`, "
        f"or {REPORT} of `graftcam export --report`"
    )
