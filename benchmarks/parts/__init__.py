"""Each part of the bench lists its rows, with the function that measures them."""

from .adjoint import ADJOINT
from .attention import ATTENTION
from .detector import DETECTOR
from .explained import INNER_LAYERS, LAST
from .files import EXPORT, MEMORY, SIZE, VERIFIED
from .floor import FLOOR_LAYERS
from .peers import PEERS
from .scaling import SCALING
from .start import COLD, IMPORTS

__all__ = ["CASES"]

# In the order of the page.
CASES = [
    *LAST, *INNER_LAYERS, *FLOOR_LAYERS, *ATTENTION, *ADJOINT, *MEMORY, *SIZE, *EXPORT,
    *VERIFIED, *IMPORTS, *PEERS, *COLD, *SCALING, *DETECTOR,
]  # fmt: skip
