"""One model of the zoo: its twin and itself, at the automatic layer and at inner ones."""

from __future__ import annotations

import hashlib
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import graftcam.exporter
import graftcam.runtime
from graftcam.exporter.verify import Check

from . import condition, contract, smooth, truth
from .zoo_models import Case

Record = dict[str, Any]


def versions() -> dict[str, str]:
    """Versions that results depend on."""
    packages = ("torch", "torchvision", "onnx", "onnx-ir", "onnxscript", "onnxruntime")
    return {package: metadata.version(package) for package in packages}


def code_digest() -> str:
    """Hash of the code under test and of the checks, so that results do not outlive either."""
    paths = sorted(Path(graftcam.exporter.__file__).parent.rglob("*.py"))
    paths.append(Path(graftcam.runtime.__file__).with_name("spec.py"))
    paths += [Path(str(module.__file__)) for module in (condition, contract, smooth, truth)]
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def key_of(case: Case, layers: Sequence[str] | None) -> str:
    """What identifies a result, versions and code aside."""
    return f"{case.name} {', '.join(layers) if layers else 'automatic'}"


def run_case(case: Case, threads: int = 1) -> Iterator[Record]:
    """Check the automatic layer and the inner layers of one model; a record for each."""
    base = case.build()
    twin = condition.condition(smooth.smooth_twin(base), case.shape)
    model = condition.condition(base, case.shape)
    for layers in (None, case.layers):
        start = time.perf_counter()
        record: Record = {
            "key": key_of(case, layers), "model": case.model, "size": list(case.size),
            "layers": list(layers or []), "automatic": layers is None,
        }  # fmt: skip
        try:
            with tempfile.TemporaryDirectory() as folder:
                record |= _check(case, twin, model, layers, Path(folder), threads)
        except Exception as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{Path(place.filename).name}:{place.lineno}"
            record["faults"] = [f"{type(error).__name__} at {where}: {error}"]
        record["verdict"] = "fail" if record["faults"] else "pass"
        record["seconds"] = round(time.perf_counter() - start, 1)
        yield record | {"versions": versions(), "code": code_digest()}


def _check(
    case: Case, twin: Any, model: Any, layers: Sequence[str] | None, folder: Path, threads: int
) -> Record:
    smooth_made = truth.make(twin, case.shape, folder / "twin.onnx", layers, threads=threads)
    on_twin, faults = truth.check_twin(smooth_made)
    faults += contract.check_contract(smooth_made, on_twin)
    made = truth.make(
        model, case.shape, folder / "model.onnx", layers, verify=True, threads=threads
    )
    on_model, wrong = truth.check_model(made)
    wrong += contract.check_contract(made, on_model)
    if layers is None:
        wrong += contract.check_plain(made, folder / "plain.onnx")
    return {
        "layers": [layer.name for layer in made.report.spec.layers],
        "twin": _worst(on_twin),
        "itself": _worst(on_model),
        "cosine": min(check.cosine for check in on_model),
        "own_cosine": min(check.own_cosine for check in on_model),
        "export_seconds": round(sum(made.report.seconds.values()), 1),
        "faults": [f"twin: {fault}" for fault in faults] + [f"model: {fault}" for fault in wrong],
    }


def _worst(found: Sequence[Check]) -> Record:
    """The largest error, and PyTorch's own on the same output."""
    worst = max(found, key=lambda check: float(check.errors.max()))
    return {
        "output": worst.name,
        "error": float(f"{worst.errors.max():.2e}"),
        "own": float(f"{worst.own.max():.2e}"),
    }
