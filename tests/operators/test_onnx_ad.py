"""The same cases through onnx-ad, an independent differentiator of ONNX graphs.

Cases that it refuses are counted, not failed; so are those at kinks, where its conventions are
its own. Where it is known to be wrong, the reason is here, and PyTorch has decided the case.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from support.operators.cases import FAMILIES
from support.operators.checks import onnx_ad_vjp, truth
from support.operators.harness import Case, error


def _uneven_pads(case: Case) -> bool:
    node = next((n for n in case.nodes if n.op_type == "Conv"), None)
    pads = [list(a.ints) for a in node.attribute if a.name == "pads"] if node is not None else []
    return any(p[: len(p) // 2] != p[len(p) // 2 :] for p in pads)


WRONG: dict[str, Callable[[Case], bool]] = {
    # Its ConvTranspose gives `output_shape`, under which ONNX pads evenly whatever `pads` says.
    "Conv with uneven pads (onnx-ad 0.3)": _uneven_pads,
    # y = |x| there; it takes y = x.
    "ReduceL2 over no axis (onnx-ad 0.3)": lambda case: case.name == "ReduceL2 over nothing",
    # It takes these for operators without a derivative, and its gradients are zero.
    "zero through a quantiser, which is the staircase's own (ours is straight-through)": lambda c: (
        bool(c.operators & {"QuantizeLinear", "DequantizeLinear"})
    ),
    "zero through Det (onnx-ad 0.3)": lambda case: "Det" in case.operators,
    "zero through the values of OneHot (onnx-ad 0.3)": lambda case: "OneHot" in case.operators,
    "zero through a Pad by widths computed at run time (onnx-ad 0.3)": lambda case: (
        case.name == "pad some axes by widths computed at run time"
    ),
    "Resize to a region of interest (onnx-ad 0.3)": lambda case: "crop and resize" in case.name,
    # NaN in its softmax, where a row holds nothing but -inf.
    "Attention of a query that sees nothing (onnx-ad 0.3)": lambda case: (
        case.name == "attention, a query that sees nothing"
    ),
    # It divides by the extent less one.
    "AffineGrid of one aligned row (onnx-ad 0.3)": lambda case: (
        case.name == "affine grid, [3, 2, 1, 3], align corners 1"
    ),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_onnx_ad_agrees_where_it_covers_a_case(
    family: str, record_property: Callable[[str, object], None]
) -> None:
    agreed, refused = 0, dict[str, str]()
    cases = [c for c in FAMILIES[family] if not c.kink and not any(w(c) for w in WRONG.values())]
    for case in cases:
        batch = case.batches[-1]
        seed, right = truth(case, batch)
        try:
            got = onnx_ad_vjp(case, batch, seed)
        except Exception as reason:
            refused[case.name] = f"{type(reason).__name__}: {reason}"
            continue
        for name, gradient in right.items():
            off = error(got[name], gradient)
            # float32, and longer chains of nodes than ours
            assert off <= max(1e-4, case.float32), f"{case.name}: d/d{name} differs by {off:.1e}"
        agreed += 1
    record_property("agreed", agreed)
    record_property("refused", refused)
    assert agreed >= 0.6 * len(cases), f"onnx-ad covers {agreed} of {len(cases)}: {refused}"
