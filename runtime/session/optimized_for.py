"""A `Target` records the machine that an optimised file was made for.

ONNX Runtime's optimiser fuses nodes, folds constants and stores weights in the order in which one
processor's registers read them. Another version may lack the fused operators, and a processor with
wider registers would read the weights in another order and give wrong numbers. Therefore the file
has a metadata entry that names its machine, and is refused elsewhere.

The entry is at the end of the file: ONNX files are protobuf messages, to which a field can be
appended, and a reader finds it there without parsing the rest.
"""

from __future__ import annotations

import json
import os
import platform
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..errors import SessionError, system_errors
from ..onnx_file.protobuf import field_of
from ..records import faults_of
from ..strict_json import read_json

_KEY = b"graftcam.target"
_ENTRY = 14  # ModelProto.metadata_props, a message of the strings key (1) and value (2)
_FIELD_KEY, _FIELD_VALUE = 1, 2
_TAIL = 4096  # the entry is far smaller
# Instruction sets by which ONNX Runtime's CPU kernels choose their layouts.
_SETS = ("avx", "avx2", "fma", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8", "asimd", "sve")


@dataclass(frozen=True)
class Target:
    """The machine that a file was optimised for.

    Attributes:
        onnxruntime: Version of ONNX Runtime.
        provider: Its execution provider.
        machine: System, architecture and the processor's instruction sets.
        layouts: Whether values are stored in the processor's own layouts, so that nothing is left
            to optimise at load.
    """

    onnxruntime: str
    provider: str
    machine: str
    layouts: bool = True

    @staticmethod
    def here(ort: Any, provider: str, *, layouts: bool = True) -> Target:
        """Return the target of this machine with this ONNX Runtime."""
        return Target(ort.__version__, provider, machine(), layouts)

    def check(self, path: Path, here: Target) -> None:
        """Raise SessionError unless a file for this target runs correctly on ``here``."""
        theirs = asdict(here)
        different = [
            f"{name} {value} (here: {theirs[name]})"
            for name, value in asdict(self).items()
            if value != theirs[name]
        ]
        if different:
            raise SessionError(
                f"{path} was optimised for {', '.join(different)}; run `graftcam optimize` on the "
                "original artifact here, or load the original"
            )


def machine() -> str:
    """Return system, architecture and the instruction sets that decide a weight's layout."""
    sets = _instruction_sets() or platform.processor()
    return " ".join(filter(None, (platform.system(), platform.machine(), sets)))


def write_target(path: Path, target: Target) -> None:
    """Append the entry to an ONNX file."""
    value = json.dumps(asdict(target), sort_keys=True).encode()
    entry = field_of(_FIELD_KEY, _KEY) + field_of(_FIELD_VALUE, value)
    with path.open("ab") as file:
        file.write(field_of(_ENTRY, entry))


def read_target(path: Path) -> Target | None:
    """Return the target of an optimised file; None: the file is not an optimised one.

    Raises:
        SessionError: The file cannot be read, or its entry is damaged.
    """
    with system_errors(SessionError, f"cannot read {path}"), path.open("rb") as file:
        file.seek(-min(_TAIL, file.seek(0, os.SEEK_END)), os.SEEK_END)
        tail = file.read()
    _, found, value = tail.rpartition(field_of(_FIELD_KEY, _KEY))
    if not found:
        return None
    try:
        target = Target(**read_json(value[value.index(b"{") :]))
        if next(faults_of(target), None) is not None:
            raise ValueError("it has fields of other types")
    except (ValueError, TypeError):
        raise SessionError(f"{path} is damaged at its end; run `graftcam optimize` again") from None
    return target


def _instruction_sets() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ""
    named = (line.partition(":")[2].split() for line in lines if line.startswith(("flags", "Feat")))
    flags = set(next(named, []))
    return " ".join(name for name in _SETS if name in flags)
