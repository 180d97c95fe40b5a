"""The table of rules is covered by the cases, and the checks can fail."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import pytest

from graftcam.exporter.differentiate import registry
from graftcam.exporter.differentiate.cotangent import Cotangent, Cotangents
from graftcam.exporter.graph.attributes import only_input
from support.operators.cases import CASES
from support.operators.checks import (
    check_float64,
    check_lazy,
    check_selection,
    check_static_and_open,
)
from support.operators.harness import Case, Model, assert_close, error, graft, idle_nodes

RULES = {name: entry for name, entry in registry.table().items() if entry.rule is not None}
ZEROS = {
    "And", "ArgMax", "ArgMin", "Bernoulli", "BitShift", "BitwiseAnd", "BitwiseNot", "BitwiseOr",
    "BitwiseXor", "BlackmanWindow", "Ceil", "Constant", "ConstantOfShape", "Equal", "EyeLike",
    "Floor", "Greater", "GreaterOrEqual", "HammingWindow", "HannWindow", "Hardmax", "ImageDecoder",
    "IsInf", "IsNaN", "Less", "LessOrEqual", "MelWeightMatrix", "Multinomial", "NonMaxSuppression",
    "NonZero", "Not", "OptionalHasElement", "Or", "RandomNormal", "RandomNormalLike",
    "RandomUniform", "RandomUniformLike", "RegexFullMatch", "Round", "SequenceEmpty",
    "SequenceLength", "Shape", "Sign", "Size", "StringConcat", "StringNormalizer", "StringSplit",
    "TfIdfVectorizer", "Xor",
}  # fmt: skip
REFUSED = {
    "ConcatFromSequence", "ConvInteger", "DynamicQuantizeLinear", "If", "Loop", "MatMulInteger",
    "MaxRoiPool", "Optional", "OptionalGetElement", "QLinearConv", "QLinearMatMul", "Scan",
    "SequenceAt", "SequenceConstruct", "SequenceErase", "SequenceInsert", "SequenceMap",
    "SplitToSequence", "Unique",
}  # fmt: skip


def _cases_of(op_type: str) -> list[Case]:
    """Cases of an operator, those where it stands alone first."""
    found = [case for case in CASES if op_type in case.operators]
    return sorted(found, key=lambda case: len(case.operators))


def test_every_rule_has_a_case() -> None:
    assert [op_type for op_type in RULES if not _cases_of(op_type)] == []


def _declared(state: str) -> set[str]:
    return {name for name, entry in registry.table().items() if entry.state == state}


def test_every_declared_zero_and_refusal_is_known_here() -> None:
    assert _declared("zero") == ZEROS
    assert _declared("refused") == REFUSED


def _operators(opset: int) -> set[str]:
    """The operators of the default domain that a model of this opset may use."""
    newest: dict[str, onnx.defs.OpSchema] = {}
    for schema in onnx.defs.get_all_schemas_with_history():
        if schema.domain == "" and schema.since_version <= opset:
            known = newest.setdefault(schema.name, schema)
            if schema.since_version > known.since_version:
                newest[schema.name] = schema
    return {name for name, schema in newest.items() if not schema.deprecated}


def test_every_operator_up_to_opset_23_is_in_a_stated_place() -> None:
    assert _operators(23) == registry.table().keys()


def test_an_operator_has_one_place_only() -> None:
    assert not ZEROS & RULES.keys()
    assert not REFUSED & RULES.keys()
    with pytest.raises(ValueError, match="two rules for Relu"):
        registry.declare_zero("Relu")
    with pytest.raises(ValueError, match="two rules for Sign"):
        registry.declare_refused("Sign", reason="", remedy="")


def test_no_case_is_there_twice() -> None:
    keys = [(c.name, c.body, repr(c.inputs), repr(c.constants), c.span, c.opset) for c in CASES]
    assert [key for key in keys if keys.count(key) > 1] == []


def test_what_the_reference_evaluator_gets_wrong_is_explained() -> None:
    assert [case.name for case in CASES if (case.reference == "all") == bool(case.remark)] == []


@pytest.mark.parametrize("op_type", RULES)
def test_a_rule_off_by_a_thousandth_is_noticed(
    op_type: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = RULES[op_type]

    def wrong(*arguments: Any) -> Cotangents:
        return [result and result * 1.001 for result in rule(*arguments)]

    rule: Callable[..., Any] = entry.rule  # type: ignore[assignment]
    case = next(case for case in _cases_of(op_type) if not case.kink)
    check_static_and_open(case)
    monkeypatch.setitem(registry._TABLE, op_type, replace(entry, rule=wrong, selection=None))
    with pytest.raises(AssertionError, match="is off by"):
        check_static_and_open(case)
    with pytest.raises(AssertionError, match="is off by"):
        check_float64(case)


def _named(name: str) -> Case:
    return next(case for case in CASES if case.name == name)


def _pass_on(emit: Any, node: Any, grad: Cotangent, needed: Any) -> Cotangents:
    return [grad]


@pytest.mark.parametrize(
    ("op_type", "case"),
    [("Relu", "relu at zero"), ("Clip", "clip to 0 and 6 at its bounds"), ("Abs", "abs at zero")],
)
def test_a_wrong_convention_at_a_kink_is_noticed(
    op_type: str, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(registry._TABLE, op_type, replace(RULES[op_type], rule=_pass_on))
    with pytest.raises(AssertionError, match="is off by"):
        check_static_and_open(_named(case))


def test_a_rule_that_is_not_lazy_but_says_so_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry._TABLE, "CumSum", replace(RULES["CumSum"], lazy=True))
    with pytest.raises(AssertionError, match="is off by"):
        check_lazy(_named("cumulative sum, axis 2, exclusive 0, reverse 0"))


def test_a_wrong_selection_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def doubled(*arguments: Any) -> Any:
        return [result * 2.0 for result in RULES["Gemm"].selection(*arguments)]  # type: ignore[misc]

    monkeypatch.setitem(registry._TABLE, "Gemm", replace(RULES["Gemm"], selection=doubled))
    with pytest.raises(AssertionError, match="is off by"):
        check_selection(_named("gemm by default, opset 18"))


def test_nodes_that_lead_nowhere_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def wasteful(emit: Any, node: Any, grad: Cotangent, needed: Any) -> Cotangents:
        emit.op("Exp", only_input(node))
        return [grad]

    monkeypatch.setitem(registry._TABLE, "Identity", replace(RULES["Identity"], rule=wasteful))
    made = graft(Model(_named("identity"), np.float32, 1))
    assert idle_nodes(made) == ["Exp grad/node_0/exp"]


def test_the_measure_of_error_notices_shapes_and_missing_numbers() -> None:
    one = np.ones(2)
    assert error(one, one) == 0.0
    assert error(np.zeros((0, 2)), np.zeros((0, 2))) == 0.0
    assert error(np.array([np.nan, 1.0]), one) == np.inf
    assert error(np.array([np.inf, 1.0]), np.array([np.inf, 1.0])) == 0.0
    with pytest.raises(AssertionError, match=r"shape \(1, 2\), not \(2,\)"):
        error(one[None], one)
    with pytest.raises(AssertionError, match="d/dx is off by"):
        assert_close({"x": one}, {"x": one + 1}, 0.1, "test")
