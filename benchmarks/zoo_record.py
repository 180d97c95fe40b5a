"""`record_of` makes the record of one model of the zoo, whatever becomes of its check."""

from __future__ import annotations

import resource
import tempfile
import time
import traceback
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

from graftcam.exporter.errors import CaptureError

from .zoo_models import Case

Record = dict[str, Any]


def versions(family: str) -> dict[str, str]:
    """Versions that the results of a family depend on."""
    packages = ["torch", "torchvision", "timm", "onnx", "onnx-ir", "onnxscript", "onnxruntime"]
    packages += ["transformers"] * (family == "transformers")
    return {package: metadata.version(package) for package in packages}


def heading(case: Case) -> Record:
    """What a record says about its model."""
    return {
        "family": case.family, "model": case.model, "size": list(case.size),
        "options": {name: value for name, value in case.options.items() if name != "img_size"},
    }  # fmt: skip


def record_of(
    case: Case,
    check: Callable[[Path], Record],
    code: str,
    refusals: tuple[type[Exception], ...],
) -> Record:
    """Check one model, and return what is found, with its time, memory, versions and code.

    Args:
        case: The model.
        check: Checks it in an empty folder; what it returns has faults, and a verdict.
        code: Hash of the code under test.
        refusals: Errors by which the exporter refuses a model; others are failures.
    """
    start = time.perf_counter()
    record: Record = {"key": case.key, **heading(case), "faults": [], "verdict": "pass"}
    try:
        with tempfile.TemporaryDirectory() as folder:
            record |= check(Path(folder))
    except refusals as error:
        verdict = "no export" if isinstance(error, CaptureError) else "refused"
        record |= {"verdict": verdict, "faults": [str(error)]}
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(place.filename).name}:{place.lineno}"
        record |= {"verdict": "fail", "faults": [f"{type(error).__name__} at {where}: {error}"]}
    record["seconds"] = round(time.perf_counter() - start, 1)
    record["gigabytes"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 1)
    return record | {"versions": versions(case.family), "code": code}
