"""Artifacts held against their reference, and everything else that a release must prove.

``compare`` says what counts as equal, ``running`` and ``inputs`` how artifacts are run and fed,
``matrix`` and ``tensors`` hold every run against the truth, which ``autograd`` or ``finite`` work
out. ``contract`` and ``dependence`` are the checks that need no reference, ``again`` those that
need the source once more. ``gate`` runs them in order; ``findings`` is what comes out.
"""

from ..capture.trial_sizes import GROWTH
from .compare import (
    CEILING,
    FLOOR,
    SLACK,
    Check,
    compare,
    merge,
    relative_errors,
    short,
    smallest_cosine,
)
from .running import LEVELS, load_session, run_session
from .tensors import checks

__all__ = [
    "CEILING",
    "Check",
    "FLOOR",
    "GROWTH",
    "LEVELS",
    "SLACK",
    "checks",
    "compare",
    "load_session",
    "merge",
    "relative_errors",
    "run_session",
    "short",
    "smallest_cosine",
]
