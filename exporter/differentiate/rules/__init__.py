"""These files define the vector-Jacobian products of ONNX operators, one file a family.

A rule gets the cotangent of the node's output, ``[K, *output]``, and returns one cotangent (or
None) an input. A rule never sums over broadcast axes, never adds up and never names a node: the
walk in `backward` and the emitter do this.
"""

from importlib import import_module
from pkgutil import iter_modules

from ..registry import Entry, is_code, lookup, table

__all__ = ["Entry", "is_code", "lookup", "table"]

# Importing a family registers its rules.
for _family in iter_modules(__path__, f"{__name__}."):
    import_module(_family.name)
