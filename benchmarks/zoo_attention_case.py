"""`run_case` compares the attention of one model of the zoo with PyTorch's autograd."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

import graftcam.exporter
import graftcam.runtime
from graftcam.exporter import TorchExport, export
from graftcam.exporter.errors import CaptureError, GraftcamError, LayerError
from graftcam.exporter.report.report import Report
from graftcam.exporter.verify import Check, merge
from graftcam.exporter.verify.verdict.compare import compare
from graftcam.runtime import Explainer
from graftcam.runtime.errors import InputError

from . import condition, truth, zoo_attention_truth, zoo_transformers
from .machine import digest
from .session import open_session
from .zoo_attention_truth import Recorded, attention_of, nearest
from .zoo_case import worst
from .zoo_models import Case
from .zoo_record import Record, record_of

METHODS = ("attention", "rollout", "gradient-rollout", "legrad", "grad-eclip")
_IMAGES = (2, 6)  # more if a check fails near a kink, as in the zoo
_RANKS = np.array([[-1, 3]], np.int64)


def code_digest() -> str:
    """Hash of the code under test and of the checks."""
    folders = [Path(package.__path__[0]) for package in (graftcam.exporter, graftcam.runtime)]
    paths = [path for folder in folders for path in sorted(folder.rglob("*.py"))]
    modules = (condition, truth, zoo_attention_truth)
    return digest([*paths, *(Path(str(module.__file__)) for module in modules), Path(__file__)])


def run_case(case: Case, threads: int = 1) -> Record:
    """Check one model; the verdict is pass, fail, refused, "no export" or none (no attention)."""
    return record_of(case, partial(_check, case, threads), code_digest(), (GraftcamError,))


def _check(case: Case, threads: int, folder: Path) -> Record:
    path = folder / "model.onnx"
    model = case.build().eval()
    if not _shapes(model, case):
        return {"verdict": "none"}
    if case.family != "transformers":
        condition.condition(model, case.shape)
    report, refusals = _export(model, case, path)
    attention = report.spec.attention
    assert attention is not None
    found, left = list[Check](), list[tuple[int, ...]]()
    for count in _IMAGES:
        found, left = _compare(model, case, report, threads, count)
        if all(check.passed for check in found):
            break
    faults = [truth.describe(check, check.bound) for check in found if not check.passed]
    roles = [block.role for block in attention.blocks]
    refusals |= _refused(path, case, [one for one in METHODS if one not in refusals])
    return {
        "blocks": len(roles),
        "softmaxes": len(roles) + len(left),
        "left": [list(shape) for shape in left],
        "roles": {role: roles.count(role) for role in dict.fromkeys(roles)},
        "grid": attention.grid,
        "class_tokens": attention.class_tokens,
        "weights": worst([c for c in found if c.name.startswith("attention.")]),
        "gradients": worst([c for c in found if not c.name.startswith("attention.")]),
        "methods": [name for name in METHODS if name not in refusals],
        "refusals": refusals,
        "faults": faults,
        "verdict": "fail" if faults else "pass",
    }


def _shapes(model: nn.Module, case: Case) -> list[tuple[int, ...]]:
    """The shapes of all that may be attention."""
    with zoo_attention_truth.softmaxes() as seen:
        inputs = _named(case, _images(case, 1, 0))
        model(**inputs) if isinstance(inputs, dict) else model(inputs)
    return [(*one.shape,) for one in seen if zoo_attention_truth.is_of_keys(one)]


def _images(case: Case, count: int, seed: int) -> torch.Tensor:
    return truth.random_images(case.shape, count, seed)


def _named(case: Case, images: torch.Tensor) -> Any:
    if case.family == "transformers":
        return {zoo_transformers.input_name(case.model): images}
    return images


def _export(model: nn.Module, case: Case, path: Path) -> tuple[Report, dict[str, str]]:
    """Export with LeGrad where it is allowed, and an open batch where PyTorch can do it."""
    extras, refusals = ["legrad"], dict[str, str]()
    dynamic = True
    while True:
        example = _named(case, _images(case, 1 if dynamic else _IMAGES[0], 0))
        example = example if isinstance(example, dict) else (example,)
        try:
            return export(
                model, path, example, layers="attention", extras=extras, verify="off",
                trace=TorchExport(dynamic_batch=dynamic),
            ), refusals  # fmt: skip
        except CaptureError:
            if not dynamic:
                raise
            dynamic = False
        except LayerError as error:
            if not extras or "method 'legrad'" not in str(error):
                raise
            extras, refusals["legrad"] = [], str(error)


def _compare(
    model: nn.Module, case: Case, report: Report, threads: int, count: int
) -> tuple[list[Check], list[tuple[int, ...]]]:
    """Compare weights and gradients; also the shapes of softmaxes that are no block."""
    images, spec = _images(case, count, 7), report.spec
    session, groups = open_session(report.path, threads), list[list[Check]]()
    left = list[tuple[int, ...]]()
    for start in range(0, count, _IMAGES[0]):
        batch = images[start : start + _IMAGES[0]]
        feeds = {session.get_inputs()[0].name: batch.numpy(), spec.class_index: _RANKS}
        names = [output.name for output in session.get_outputs()]
        got = dict(zip(names, session.run(names, feeds), strict=True))
        both = [
            attention_of(_in(model, dtype), _named(case, batch.to(dtype)), got[spec.classes],
                         _score(spec.score.output))
            for dtype in (torch.float64, torch.float32)
        ]  # fmt: skip
        found, left = _checks(spec.attention, got, *both)
        groups.append(found)
    return [merge(group) for group in zip(*groups, strict=True)], left


def _in(model: nn.Module, dtype: torch.dtype) -> nn.Module:
    return copy.deepcopy(model).to(dtype) if dtype is torch.float64 else model


def _score(output: str) -> Callable[[Any], torch.Tensor]:
    return partial(_scores, output=output)


def _scores(returned: Any, output: str) -> torch.Tensor:
    """The scores [N, classes]: of positions their sum."""
    table = returned if isinstance(returned, torch.Tensor) else returned[output]
    return table.flatten(2).sum(2) if table.ndim > 2 else table


def _checks(
    attention: Any, got: dict[str, Any], truths: Sequence[Recorded], owns: Sequence[Recorded]
) -> tuple[list[Check], list[tuple[int, ...]]]:
    found, used = list[Check](), set[int]()
    for block in attention.blocks:
        place = nearest(got[block.weights], truths)
        if place is None or place in used:
            raise AssertionError(f"PyTorch has no softmax like that of {block.name!r}")
        used.add(place)
        truth_of, own = truths[place], owns[place]
        found.append(compare(block.weights, got[block.weights], truth_of.weights, own.weights))
        floor = 1e-9  # the last block of some models has no gradient at all
        found.append(
            compare(block.gradients, got[block.gradients], truth_of.gradients, own.gradients, floor)
        )
    return found, [one.shape for i, one in enumerate(truths) if i not in used]


def _refused(path: Path, case: Case, methods: Sequence[str]) -> dict[str, str]:
    """Why the runtime refuses methods."""
    explainer, refusals = Explainer(path), dict[str, str]()
    images = _images(case, _IMAGES[0], 0).numpy()
    for method in methods:
        try:
            for one in explainer.explain(images, method=method):
                assert np.isfinite(one.maps).all()
        except InputError as error:
            refusals[method] = str(error)
    return refusals
