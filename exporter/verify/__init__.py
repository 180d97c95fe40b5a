"""This folder compares an artifact with its reference, and makes all other checks of a release.

In: an artifact's file and its source. Out: a `Verdict` of findings. Imports: every folder up to
`artifact`; never the code that is verified.

``compare`` defines when tensors are equal, ``artifact`` and ``inputs`` run and feed artifacts,
``matrix`` and ``tensors`` compare every run with the reference, which ``autograd`` or ``finite``
compute. ``contract`` and ``dependence`` are the checks without a reference, ``again`` those that
export the source again. ``run_checks`` runs all checks in order; ``findings`` are their results.
"""

from .compare import SLACK, Check, merge, relative_errors
from .tensors import checks

__all__ = ["Check", "SLACK", "checks", "merge", "relative_errors"]
