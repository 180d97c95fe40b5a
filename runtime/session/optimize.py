"""`optimize` saves ONNX Runtime's optimised form of an artifact, for this machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..custody.digests import check_digests, write_digests
from ..errors import SessionError
from ..writing import atomic_write, guard, protected
from .engines.table import ENGINES
from .optimized_for import Target, read_target, write_target
from .providers import load_onnxruntime
from .session import Session


@dataclass(frozen=True)
class Optimized:
    """The saved file.

    Attributes:
        path: The file.
        target: The machine that it is for.
        size: Its size in bytes.
        before: Size of the original artifact.
    """

    path: Path
    target: Target
    size: int
    before: int


def optimize(path: str | Path, target: str | Path, provider: str | None = None) -> Optimized:
    """Save an artifact in the form that ONNX Runtime's optimiser gives it at load.

    The saved file is an artifact with the same inputs, outputs and metadata. It runs with this
    version of ONNX Runtime, on this provider and on processors like this one.

    Args:
        path: An artifact.
        target: The file to write; it appears complete and tested, or not at all.
        provider: ONNX Runtime's execution provider; None: the best one available.

    Raises:
        SessionError: The artifact cannot be loaded or is an optimised one, or ``target`` cannot be
            written or is the artifact.
        CustodyError: The artifact changed after its export.
        SpecError: The file is not an artifact.
    """
    path, target = Path(path), Path(target)
    if path.is_file() and read_target(path) is not None:
        raise SessionError(f"{path} is optimised already; optimise the original artifact")
    if provider in ENGINES:
        raise SessionError(f"{provider} optimises by itself; give a provider of ONNX Runtime")
    files = [path, path.with_name(f"{path.name}.data")]
    guard(target, files, SessionError)
    plain, ort = Session(path, provider), load_onnxruntime()
    digests = check_digests(path, required=False)
    # ONNX Runtime (1.32) gives what it stores in another layout the same names inside and outside
    # of an If, as artifacts of detectors have one, and cannot read that again.
    layouts = plain.spec.detector is None
    with protected(files), atomic_write(target, SessionError) as draft:

        def save(options: Any) -> None:
            options.optimized_model_filepath = str(draft)
            if not layouts:
                options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED

        first = Session(path, provider, configure=save)
        made_for = Target.here(ort, first.provider, layouts=layouts)
        if digests is not None:
            write_digests(draft, digests.heads)
        write_target(draft, made_for)
        again = Session(draft, first.provider)
        for what in ("spec", "inputs", "outputs"):
            if getattr(first, what) != getattr(again, what):
                raise SessionError(
                    f"{path.name}: ONNX Runtime's optimised form has other {what}; load the "
                    "original"
                )
        size = draft.stat().st_size
    return Optimized(target, made_for, size, path.stat().st_size)
