"""Each part of the bench lists its rows and measures them."""

from .adjoint import ADJOINT
from .explained import INNER_LAYERS, LAST
from .files import EXPORT, MEMORY, SIZE
from .part import Bench, Part
from .peers import PEERS
from .scaling import SCALING
from .start import COLD, IMPORTS

__all__ = ["PARTS", "Bench", "Part"]

# In the order of the page.
PARTS: dict[str, Part] = {
    "last": LAST,
    "inner": INNER_LAYERS,
    "adjoint": ADJOINT,
    "memory": MEMORY,
    "size": SIZE,
    "export": EXPORT,
    "imports": IMPORTS,
    "peers": PEERS,
    "cold": COLD,
    "scaling": SCALING,
}
