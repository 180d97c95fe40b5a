"""This folder compares an artifact with its reference, and makes all other checks of a release.

In: an artifact's file and its source. Out: a `Verdict` of findings. Imports: every folder up to
`artifact`; never the code that is verified.

Four rooms, each importing only from those before it: ``verdict`` (when tensors are equal, what a
finding is, how long a verification may take), ``runs`` (an artifact's inputs and its runs),
``float64`` (a head's scores and their finite differences), ``checks`` (what is compared with what).
``run_checks`` makes all checks in order; ``again`` exports the source a second time, ``heads`` and
``agreement`` check what is cut or made from an artifact.
"""

from .verdict.compare import SLACK, Check, merge, relative_errors

__all__ = ["Check", "SLACK", "merge", "relative_errors"]
