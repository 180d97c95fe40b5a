"""`run_case` checks one model of the zoo and its smooth twin, at the automatic and inner layers."""

from __future__ import annotations

import resource
import tempfile
import time
import traceback
from collections.abc import Sequence
from importlib import metadata
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

Record = dict[str, Any]


def versions(family: str) -> dict[str, str]:
    """Versions that the results of a family depend on."""
    packages = ["torch", "torchvision", "timm", "onnx", "onnx-ir", "onnxscript", "onnxruntime"]
    packages += ["transformers"] * (family == "transformers")
    return {package: metadata.version(package) for package in packages}


def code_digest() -> str:
    """Hash of the code under test and of the checks, so that results do not outlive either."""
    paths = sorted(Path(graftcam.exporter.__file__).parent.rglob("*.py"))
    paths += sorted((Path(graftcam.runtime.__file__).parent / "spec").glob("*.py"))
    modules = (condition, contract, session, smooth, truth, zoo_layers)
    paths += [Path(str(module.__file__)) for module in modules]
    return digest(paths)


def run_case(case: Case, threads: int = 1) -> Record:
    """Check one model; the record's verdict is pass, fail, refused or "no export"."""
    start = time.perf_counter()
    record: Record = {"key": case.key, **heading(case), "faults": [], "verdict": "pass"}
    try:
        with tempfile.TemporaryDirectory() as folder:
            record |= _check(case, Path(folder), threads)
            record["verdict"] = "fail" if record["faults"] else "pass"
    except (CaptureError, LayerError, UnsupportedError) as error:
        verdict = "no export" if isinstance(error, CaptureError) else "refused"
        record |= {"verdict": verdict, "faults": [str(error)]}
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(place.filename).name}:{place.lineno}"
        record |= {"verdict": "fail", "faults": [f"{type(error).__name__} at {where}: {error}"]}
    record["seconds"] = round(time.perf_counter() - start, 1)
    record["gigabytes"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 1)
    return record | {"versions": versions(case.family), "code": code_digest()}


def heading(case: Case) -> Record:
    """What a record says about its model."""
    return {
        "family": case.family, "model": case.model, "size": list(case.size),
        "options": {name: value for name, value in case.options.items() if name != "img_size"},
    }  # fmt: skip


def _check(case: Case, folder: Path, threads: int) -> Record:
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
    return record | {
        "itself": worst(found),
        "cosine": min(check.cosine for check in found),
        "own_cosine": min(check.own_cosine for check in found),
        "nodes": list(artifact.report.nodes),
        "export_seconds": round(sum(artifact.report.seconds.values()), 1),
        "static_batch": artifact.batch is not None,
        "faults": faults + [f"model: {fault}" for fault in wrong],
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
