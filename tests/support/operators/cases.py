"""All cases, by family: the module ``cases_<family>`` of each."""

from __future__ import annotations

from importlib import import_module

from support.operators.harness import Case

FAMILIES: dict[str, list[Case]] = {
    family: import_module(f"support.operators.cases_{family}").CASES
    for family in (
        "activation", "elementwise", "conv", "pool", "linear", "reduce", "normalise", "reshape",
        "scatter", "functions", "generate", "rearrange", "norms", "resample", "attention",
        "losses", "spectral", "sums", "recurrent", "gridsample", "assemble", "deform", "roi",
        "quantize", "compound",
    )
}  # fmt: skip
CASES = [case for cases in FAMILIES.values() for case in cases]
