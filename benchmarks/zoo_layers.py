"""`choose` selects the layers that the zoo tries: automatic, early, middle, and a norm."""

from __future__ import annotations

from collections.abc import Sequence

from graftcam.exporter.locate.candidate import Candidate

_EARLY, _MIDDLE, _NORM = 0.15, 0.5, 0.6  # of the way from input to score


def choose(candidates: Sequence[Candidate]) -> list[str]:
    """Names of the layers, the automatic one first.

    Args:
        candidates: As `candidates_of` lists them: the automatic choice first, later layers before
            earlier ones, those that do not qualify at the end.
    """
    usable = [candidate for candidate in candidates if candidate.usable]
    if not usable:
        return []
    # In the order of the forward pass, the automatic one left out.
    inner = usable[:0:-1]
    chosen = [usable[0].name]
    chosen += [inner[int(len(inner) * part)].name for part in (_EARLY, _MIDDLE) if inner]
    norms = [c for c in inner if _is_block_norm(c)]
    if norms:
        chosen.append(norms[int(len(norms) * _NORM)].name)
    return list(dict.fromkeys(chosen))


def _is_block_norm(candidate: Candidate) -> bool:
    """A norm inside a block of a transformer, which works on tokens or channels-last maps.

    A norm over one channel (CSATv2 has such) gives a constant, and rounding for a gradient.
    """
    known = "LayerNorm" in candidate.kind or "RMSNorm" in candidate.kind
    return known and candidate.shape[-1] != 1
