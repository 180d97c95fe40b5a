"""An artifact's own digests are an entry of its metadata; these functions write and compare them.

The entry is not part of the record `Spec`, so that older runtimes load the file: they ignore it.
A digest shows that a file is not as it was exported, by accident or by hand. Who can change the
file can also write another digest: against that, sign it (`signature`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from ..errors import CustodyError, SpecError
from ..records import parse_record
from .entries import read_entry, reading, write_entries
from .fingerprint import fingerprint

DIGESTS_KEY = "graftcam.digests"
_VERSION = 1
NONE = "no digests: exported by an earlier version"


@dataclass(frozen=True)
class Parts:
    """The digests of one file; see `Fingerprint`."""

    graph: str
    weights: str


@dataclass(frozen=True)
class Digests(Parts):
    """The digests of an artifact when it was exported.

    Attributes:
        version: Version of this entry.
        heads: The digests of its heads, by the names of their files.
    """

    version: int = _VERSION
    heads: dict[str, Parts] = field(default_factory=dict[str, Parts])

    def to_json(self) -> str:
        """Serialise with sorted keys, so that the same digests give the same bytes."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))

    def check_head(self, path: Path) -> None:
        """Raise CustodyError unless a file is one of the heads that the artifact came with."""
        if parts_of(path) not in self.heads.values():
            raise CustodyError(
                f"{path} is not the head that its artifact was exported with; copy the files of "
                "one export again"
            )


@dataclass(frozen=True)
class Comparison:
    """One part of an artifact, compared with its digest.

    Attributes:
        subject: ``graph``, ``weights``, or the name of a head's file.
        same: Whether it is as it was exported; None if it was not compared.
        reason: Why not.
    """

    subject: str
    same: bool | None
    reason: str = ""


def write_digests(path: Path, heads: Mapping[str, Parts] | None = None) -> None:
    """Compute a file's digests and write them into its metadata.

    Args:
        path: An artifact that nobody else reads yet.
        heads: The digests of its heads' files.

    Raises:
        CustodyError: It is no ONNX file, or cannot be written.
    """
    parts = parts_of(path)
    _write(path, Digests(parts.graph, parts.weights, heads=dict(heads or {})))


def record_heads(path: Path, heads: Sequence[Path]) -> None:
    """Add the digests of heads, which have digests themselves, to those of their artifact."""
    own, found = read_digests(path), {one.name: read_digests(one) for one in heads}
    assert own is not None
    parts = {name: Parts(one.graph, one.weights) for name, one in found.items() if one is not None}
    _write(path, replace(own, heads=parts))


def read_digests(path: Path) -> Digests | None:
    """Return an artifact's digests; None if it has none.

    Raises:
        CustodyError: The file cannot be read, or the entry is damaged or of a newer version.
    """
    text = read_entry(path, DIGESTS_KEY)
    if text is None:
        return None
    try:
        data = json.loads(text)
        version = data.get("version") if isinstance(data, dict) else None
        if version != _VERSION:
            raise CustodyError(
                f"{path} has digests of version {version}, this runtime knows {_VERSION}; upgrade "
                "graftcam"
            )
        return parse_record(Digests, data, DIGESTS_KEY)
    except (SpecError, ValueError, RecursionError) as error:
        raise CustodyError(f"{path} has damaged digests: {error}") from None


def parts_of(path: Path) -> Parts:
    """Compute the digests of a file.

    Raises:
        CustodyError: As `fingerprint`.
    """
    found = fingerprint(path)
    return Parts(found.graph, found.weights)


def compare_digests(path: Path) -> list[Comparison]:
    """Compare an artifact, and the heads beside it, with its digests; empty if it has none.

    Raises:
        CustodyError: The file cannot be read, or lacks its weights.
    """
    known = read_digests(path)
    if known is None:
        return []
    found = [_compare(name, getattr(known, name), value) for name, value in _named(path)]
    for name, parts in known.heads.items():
        head = path.parent / Path(name).name  # beside the artifact, whatever the entry says
        if not head.is_file():
            found.append(Comparison(name, None, "no such file beside the artifact"))
            continue
        same = parts_of(head) == parts
        found.append(Comparison(name, same, "" if same else _other(f"the head {name}")))
    return found


def check_digests(path: Path, *, required: bool = True) -> Digests | None:
    """Return an artifact's digests if its graph and weights have them; heads are not read.

    Args:
        path: The artifact.
        required: Whether an artifact without digests is an error.

    Raises:
        CustodyError: The file is not as it was exported, or cannot be read.
    """
    known = read_digests(path)
    if known is None:
        if required:
            raise CustodyError(f"{path} has {NONE}; export it again, or open it unchecked")
        return None
    for name, value in _named(path):
        one = _compare(name, getattr(known, name), value)
        if not one.same:
            raise CustodyError(f"{path}: {one.reason}")
    return known


def _named(path: Path) -> list[tuple[str, str]]:
    return list(asdict(parts_of(path)).items())


def _compare(subject: str, known: str, found: str) -> Comparison:
    same = known == found
    hashes = f" (SHA-256 {found[:12]}, exported {known[:12]})"
    return Comparison(subject, same, "" if same else _other(f"the {subject}", hashes))


def _other(what: str, hashes: str = "") -> str:
    return f"{what} changed after the export{hashes}; copy the file again, or export again"


def _write(path: Path, digests: Digests) -> None:
    with reading(path):
        write_entries(path, {DIGESTS_KEY: digests.to_json()})
