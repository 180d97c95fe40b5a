"""What the rules emit for browsers and for CUDA gives the same gradients."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from graftcam.exporter.graph.profiles import ProfileName
from support.operators.cases import CASES, FAMILIES
from support.operators.checks import check_expected, check_float64, check_static_and_open
from support.operators.harness import Case, Graft, Model, graft
from support.placement import off_webgpu

MAXIMA = [pytest.param(case, id=case.name) for case in CASES if "MaxPool" in case.operators]


def _grafted(case: Case, profile: ProfileName) -> Graft:
    shape = case.open[-1] if case.batched else ()
    return graft(Model(case, np.float32, case.batches[-1], shape), profile=profile)


@pytest.mark.parametrize("case", MAXIMA)
def test_a_max_pool_without_indices_has_the_same_gradient(case: Case) -> None:
    added = _grafted(case, "web")
    pools = [
        n for n in added.proto.graph.node if n.op_type == "MaxPool" and n.name in added.emitted
    ]
    assert pools == []
    check_static_and_open(case, "web")
    check_float64(case, "web")
    if case.expected:
        check_expected(case, "web")


@pytest.mark.parametrize("profile", ["web", "cuda"])
@pytest.mark.parametrize("family", FAMILIES)
def test_nothing_else_differs_by_profile(family: str, profile: ProfileName) -> None:
    for case in FAMILIES[family]:
        if profile == "cuda" or "MaxPool" not in case.operators:
            assert _grafted(case, profile).proto == _grafted(case, "default").proto, case.name


# What some rules emit for floats beside what WebGPU has: WASM runs it, with a copy there and back.
BESIDE_WEBGPU = [
    "Det", "GRU", "Identity", "LSTM", "Max", "Mod", "OneHot", "RNN", "ReverseSequence", "Round",
    "Scan", "ScatterElements", "Sign", "Softplus", "Trilu",
]  # fmt: skip


def _emitted_beside_webgpu() -> set[str]:
    found: set[str] = set()
    for case in CASES:
        if case.opset <= 18:
            made = _grafted(replace(case, opset=18), "web")
            left = set(off_webgpu(made.proto)) & made.emitted
            found |= {node.op_type for node in made.proto.graph.node if node.name in left}
    return found


def test_webgpu_lacks_few_operators_that_the_rules_emit() -> None:
    assert sorted(_emitted_beside_webgpu()) == BESIDE_WEBGPU
