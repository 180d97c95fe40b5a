"""This module decides which layers can be explained, and which the automatic choice takes.

A PyTorch module and an ONNX graph show different things. Each side writes what it sees of a layer
into `LayerFacts`; the decision, its words and the order of preference are the same for both.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from ..graph.emitter import Dim
from .candidate import Candidate
from .token_grids import halved, static_grids

_USABLE = "spatial extent, and the score's gradient reaches it"
_UNCONNECTED = "not connected to the score"
_NO_GRADIENT = "the score's gradient is zero at every place"
_NO_GRID = "no grid fits its tokens"
BLIND = "it does not depend on the image, only on other inputs"
_MISPLACED = "its places are not where the input's are"
_TRUNK = 4  # layers of one shape that make a trunk; a block alone has about six
_RANKS = (3, 4, 5)


def misplaced(agreement: float) -> str:
    """Say that the places of a layer are not those of the input."""
    return (
        f"{_MISPLACED}, so a map would mean nothing (queries, windows, sorted tokens; agreement "
        f"{agreement:.2f})"
    )


@dataclass(frozen=True)
class LayerFacts:
    """What is known about the output of a layer.

    Attributes:
        name: Module path, or value name.
        kind: Class of the module, or operator of the node.
        shape: Shape of the output.
        on_batch: Whether the first axis is the batch.
        tokens: Whether it consists of tokens, [N, tokens, C].
        grids: Extents that its places may have: none where no grid fits its tokens, two where
            the channels may come first or last.
        branch: Of tokens: whether it is part of a block's branch, not a sum of branches or a norm.
        connected: Whether the score depends on it.
        gradient: Whether the score's gradient is other than zero at some place.
        class_map: Whether it is a map for each class.
        blind: Whether it depends on none of the model's images, though there is one.
        refuted: Agreement of its places with the input's, if it is too low; see `places`.
        passive: What merely pools, moves or passes on what an earlier layer computed, if it does:
            a class or an operator.
        bypassed: Whether other nodes read the same quantised codes past it.
    """

    name: str
    kind: str
    shape: tuple[Dim, ...]
    on_batch: bool = True
    tokens: bool = False
    grids: tuple[tuple[Dim, ...], ...] = ()
    branch: bool = False
    connected: bool = True
    gradient: bool = True
    class_map: bool = False
    blind: bool = False
    refuted: float | None = None
    passive: str = ""
    bypassed: bool = False


@dataclass(frozen=True)
class Surroundings:
    """What the other layers of the model show about one.

    Attributes:
        grids: Extents of the model's spatial layers and, where they are known, of their halves.
            Empty: any extents will do.
        trunks: By number of tokens, the width that most layers have: what is wider or narrower is
            a projection inside a block.
    """

    grids: frozenset[tuple[Dim, ...]] = frozenset()
    trunks: dict[Dim, Dim] | None = None

    @classmethod
    def of(
        cls, spatial: Iterable[tuple[Dim, ...]], tokens: Iterable[tuple[Dim, ...]]
    ) -> Surroundings:
        """Collect them.

        Args:
            spatial: Extents of layers that work on a grid.
            tokens: Shapes of layers that give tokens.
        """
        grids = set(spatial)
        widths: dict[Dim, Counter[Dim]] = {}
        for _, count, width in tokens:
            widths.setdefault(count, Counter())[width] += 1
        trunks = {count: found.most_common(1)[0][0] for count, found in widths.items()}
        return cls(frozenset(grids | halved(static_grids(grids))), trunks)


def judge_layer(facts: LayerFacts, around: Surroundings) -> Candidate:
    """Decide whether the automatic choice may take a layer, and say why or why not."""
    fault = _fault(facts, around)
    return Candidate(facts.name, facts.kind, facts.shape, fault is None, fault or _USABLE)


def _fault(facts: LayerFacts, around: Surroundings) -> str | None:
    """The first fault of the shape, of the way to the score, or of the content; None if fine."""
    if len(facts.shape) not in _RANKS:
        return "no spatial axes"
    if not facts.on_batch:
        return "its first axis is not the batch (a window partition, perhaps)"
    if not facts.grids:
        return _NO_GRID
    if facts.blind:
        return BLIND
    if facts.refuted is not None:
        return misplaced(facts.refuted)
    if facts.tokens:
        width = (around.trunks or {}).get(facts.shape[1], facts.shape[2])
        if facts.branch or facts.shape[2] != width:
            return f"inside a block whose trunk has width {width}"
    elif around.grids and around.grids.isdisjoint(facts.grids):
        return "its extents are those of no convolution, pool or resize"
    if any(all(extent == 1 for extent in grid) for grid in facts.grids):
        return "no spatial extent left"
    if not facts.connected:
        return _UNCONNECTED
    if not facts.gradient:
        return _NO_GRADIENT
    if facts.class_map:
        return "a map for each class: the scores themselves"
    if facts.passive:
        return f"{facts.passive} computes no features of its own"
    if facts.bypassed:
        return "other nodes read the same codes, past it"
    return None


def ranked(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Sort layers, given in the order of the forward pass: the automatic choice first.

    Later layers come first, since their features are the most abstract; layers that do not qualify
    follow. The reason of the choice also names a later layer that the score does not depend on, and
    a later trunk of tokens without a grid: what comes before it, such as a patch embedding, has
    seen little of the model.

    A part of a block whose result on a grid has lost its places, such as the queries of LeViT's
    downsampling attention, comes behind the layers before the block: it shows one of the ways
    into the block only.
    """
    blocks = tuple(f"{one.name}." for one in candidates if _has_lost_places(one))
    later_first = candidates[::-1]
    found = sorted(later_first, key=lambda one: one.name.startswith(blocks))
    best = next((i for i, candidate in enumerate(found) if candidate.usable), 0)
    for later in reversed(found[:best]):
        if later.reason in (_NO_GRADIENT, _UNCONNECTED):
            note = f"{found[best].reason}; not so at {later.name} after it: {later.reason}"
            found[best] = replace(found[best], reason=note)
            break
    if found and found[best].usable and (trunk := _unplaced_trunk(found[:best])) is not None:
        note = f"{found[best].reason}; but no grid fits the tokens {list(trunk)} of what follows it"
        found[best] = replace(found[best], reason=note)
    return sorted(found, key=lambda candidate: not candidate.usable)


def _has_lost_places(candidate: Candidate) -> bool:
    """Whether it is a block, no mere sequence of them, whose places all see the whole input."""
    lost = candidate.reason.startswith(_MISPLACED) and len(candidate.shape) > 3
    return lost and candidate.kind not in ("Sequential", "ModuleList")


def _unplaced_trunk(later: Sequence[Candidate]) -> tuple[Dim, ...] | None:
    """The shape of most layers whose tokens have no grid, if there are as many as in a trunk."""
    shapes = Counter(one.shape for one in later if one.reason == _NO_GRID and one.shape[1] != 1)
    shape, count = next(iter(shapes.most_common(1)), ((), 0))
    return shape if count >= _TRUNK else None
