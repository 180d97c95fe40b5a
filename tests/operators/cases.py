"""All cases, by family."""

from __future__ import annotations

from . import (
    cases_activation,
    cases_assemble,
    cases_compound,
    cases_conv,
    cases_deform,
    cases_elementwise,
    cases_functions,
    cases_generate,
    cases_gridsample,
    cases_linear,
    cases_normalise,
    cases_norms,
    cases_pool,
    cases_rearrange,
    cases_recurrent,
    cases_reduce,
    cases_reductions,
    cases_resample,
    cases_reshape,
    cases_roi,
    cases_scatter,
    cases_sums,
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
    "scatter": cases_scatter.CASES,
    "functions": cases_functions.CASES,
    "generate": cases_generate.CASES,
    "rearrange": cases_rearrange.CASES,
    "reductions": cases_reductions.CASES,
    "norms": cases_norms.CASES,
    "resample": cases_resample.CASES,
    "sums": cases_sums.CASES,
    "recurrent": cases_recurrent.CASES,
    "gridsample": cases_gridsample.CASES,
    "assemble": cases_assemble.CASES,
    "deform": cases_deform.CASES,
    "roi": cases_roi.CASES,
    "compound": cases_compound.CASES,
}
CASES = [case for cases in FAMILIES.values() for case in cases]
