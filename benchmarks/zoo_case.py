"""`run_case` checks one model of the zoo and its smooth twin, at the automatic and inner layers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import graftcam.exporter
import graftcam.runtime
from graftcam.exporter import candidates_of
from graftcam.exporter.errors import CaptureError, LayerError, UnsupportedError
from graftcam.exporter.verify import Check

from . import condition, contract, session, smooth, truth, zoo_layers
from .machine import digest
from .zoo_models import Case
from .zoo_record import Record, record_of


def code_digest() -> str:
    """Hash of the code under test and of the checks, so that results do not outlive either."""
    paths = sorted(Path(graftcam.exporter.__file__).parent.rglob("*.py"))
    paths += sorted((Path(graftcam.runtime.__file__).parent / "spec").glob("*.py"))
    modules = (condition, contract, session, smooth, truth, zoo_layers)
    paths += [Path(str(module.__file__)) for module in modules]
    return digest(paths)


def run_case(case: Case, threads: int = 1) -> Record:
    """Check one model; the record's verdict is pass, fail, refused or "no export"."""
    check = partial(_check, case, threads)
    return record_of(case, check, code_digest(), (CaptureError, LayerError, UnsupportedError))


def _check(case: Case, threads: int, folder: Path) -> Record:
    model = case.build()
    twins: list[Any] = []
    if smooth.is_kinked(model, case.shape):
        # The second for models on whose first PyTorch itself is lost.
        twins = [smooth.smooth_twin(model, positive=positive) for positive in (False, True)]
    condition.condition(model, case.shape)
    layers = list(case.layers) or zoo_layers.choose(
        candidates_of(model, (truth.random_images(case.shape, 1, 0),))
    )
    if not layers:
        raise LayerError("no layer can be chosen automatically")
    record: Record = {"layers": layers}
    faults: list[str] = []
    for twin in twins:
        condition.condition(twin, case.shape)
        artifact = _make(twin, case.shape, folder / "model.onnx", layers, threads)
        found, wrong = truth.check_twin(artifact)
        record["twin"] = worst(found)
        faults = [f"twin: {fault}" for fault in wrong]
        if not truth.is_lost(found):
            break
    twins.clear()
    artifact = _make(model, case.shape, folder / "model.onnx", layers, threads)
    found, wrong = truth.check_model(artifact) if "twin" in record else truth.check_twin(artifact)
    wrong += contract.check_contract(artifact, found)
    faults += [f"model: {fault}" for fault in wrong]
    return record | {
        "itself": worst(found),
        "cosine": min(check.cosine for check in found),
        "own_cosine": min(check.own_cosine for check in found),
        "nodes": list(artifact.report.nodes),
        "export_seconds": round(sum(artifact.report.seconds.values()), 1),
        "static_batch": artifact.batch is not None,
        "faults": faults,
        "verdict": "fail" if faults else "pass",
    }


def _make(
    module: Any, shape: tuple[int, ...], path: Path, layers: Sequence[str], threads: int
) -> truth.Artifact:
    """Export with an open batch; with a fixed one where PyTorch can do no better."""
    try:
        return truth.make(module, shape, path, layers, threads=threads)
    except CaptureError:
        return truth.make(module, shape, path, layers, threads=threads, batch=truth.CHUNK)


def worst(found: Sequence[Check]) -> Record:
    """The largest error, and PyTorch's own on the same output."""
    check = max(found, key=lambda check: float(check.errors.max()))
    return {
        "output": check.name,
        "error": float(f"{check.errors.max():.2e}"),
        "own": float(f"{check.own.max():.2e}"),
    }
