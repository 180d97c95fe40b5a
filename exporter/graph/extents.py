"""`product_of` multiplies extents of which some may be open."""

from __future__ import annotations

import math
from collections.abc import Sequence

from .emitter import Dim


def product_of(extents: Sequence[Dim]) -> tuple[int, tuple[str, ...]]:
    """Return the product of the known extents, and the names of the open ones in order.

    Two of these are equal where as many elements lie behind, whatever the open extents are.
    """
    known = math.prod(extent for extent in extents if isinstance(extent, int))
    return known, tuple(sorted(str(one) for one in extents if not isinstance(one, int)))
