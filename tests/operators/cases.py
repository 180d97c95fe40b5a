"""All cases, by family."""

from __future__ import annotations

from . import (
    cases_activation,
    cases_compound,
    cases_conv,
    cases_elementwise,
    cases_linear,
    cases_normalise,
    cases_pool,
    cases_reduce,
    cases_reshape,
)

FAMILIES = {
    "activation": cases_activation.CASES,
    "elementwise": cases_elementwise.CASES,
    "conv": cases_conv.CASES,
    "pool": cases_pool.CASES,
    "linear": cases_linear.CASES,
    "reduce": cases_reduce.CASES,
    "normalise": cases_normalise.CASES,
    "reshape": cases_reshape.CASES,
    "compound": cases_compound.CASES,
}
CASES = [case for cases in FAMILIES.values() for case in cases]
