"""Every gradient rule, operator by operator, against four other ways to compute the gradient."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest

from graftcam.exporter.differentiate.registry import table
from support.operators.cases import CASES, FAMILIES
from support.operators.checks import (
    check_expected,
    check_float32,
    check_float64,
    check_lazy,
    check_selection,
    check_static_and_open,
)
from support.operators.harness import Case


def _each(cases: Iterable[Case]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in cases])


@_each(CASES)
def test_onnx_runtime_gives_the_gradient(case: Case) -> None:
    check_static_and_open(case)


@_each(case for case in CASES if case.opset == 18)
def test_the_newest_form_of_an_operator_has_the_same_gradient(case: Case) -> None:
    newest = replace(case, opset=23)
    check_float32(newest, case.batches[-1:], case.open[-1] if case.batched else ())


@_each(CASES)
def test_float64_agrees_with_pytorch_and_finite_differences(case: Case) -> None:
    check_float64(case)


@_each(case for case in CASES if case.expected)
def test_at_kinks_the_gradient_is_exactly_this(case: Case) -> None:
    check_expected(case)


@_each(case for case in CASES if any(table()[op_type].lazy for op_type in case.operators))
def test_a_spread_cotangent_gives_what_it_gives_written_out(case: Case) -> None:
    check_lazy(case)


HEADS = [
    *(case for case in FAMILIES["linear"] if case.name.startswith(("gemm", "matmul, matrices"))),
    *(case for case in FAMILIES["compound"] if "head" in case.name),
]


@_each(HEADS)
def test_a_selected_class_gives_what_its_one_hot_gives(case: Case) -> None:
    check_selection(case)
