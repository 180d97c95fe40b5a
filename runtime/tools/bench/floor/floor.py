"""`find_floor` compares the multiplications of an explained run with this machine's peak.

The floor of the explanation is the time that its multiplications take at the peak. The rest of its
time goes to products below the peak, masks, copies and sums.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ....spec import Spec
from ..profile import MOVES, NodeTime, Profile
from .parts import PARTS, Part, place_nodes
from .saved_graph import SavedGraph
from .work import MULTIPLYING, UNCOUNTED, Work, work_of

_HALF = 0.5  # of all multiplications, by the largest nodes: one of them sets the peak
_CAUSES = {
    "masks": """
        Mul Div Sub Neg Where Greater GreaterOrEqual Less LessOrEqual Equal And Or Not Cast Sign
        Clip HardSigmoid HardSwish Sigmoid Tanh Relu LeakyRelu Erf Exp Log Pow Sqrt Reciprocal Abs
        Min Max Gelu QuickGelu FastGelu BiasGelu Softplus
    """,
    "layout_copies": " ".join(MOVES),
    "conv_transpose": "ConvTranspose",
    "products": " ".join(MULTIPLYING - {"ConvTranspose"}),
    "sums": "Add Sum",
    "copies": """
        Transpose Concat Slice Split Pad Expand Tile Gather GatherND GatherElements Scatter
        ScatterND ScatterElements DepthToSpace SpaceToDepth Resize Upsample
    """,
}
_CAUSE = {operator: cause for cause, names in _CAUSES.items() for operator in names.split()}
OTHER = "other"
CAUSES = (*_CAUSES, OTHER)
"""Where the time above the floor goes; ``other``: reductions, norms, shapes."""


@dataclass(frozen=True)
class Row:
    """All nodes of an operator in a part of the run, or of a whole part.

    Attributes:
        part: The part.
        operator: The operator; empty for the whole part.
        nodes: Their number.
        ms: Their milliseconds.
        macs: Their multiplications (each with an addition).
        bytes: Size of their inputs and outputs.
        share: ``macs`` per time as a share of the peak; None if there are none.
    """

    part: Part
    operator: str
    nodes: int
    ms: float
    macs: int
    bytes: int
    share: float | None


@dataclass(frozen=True)
class Peak:
    """The fastest of the largest nodes, which together have half of the run's multiplications.

    Attributes:
        per_ms: Its multiplications in a millisecond.
        node: Its name.
        operator: Its operator.
        macs: Its multiplications.
    """

    per_ms: float
    node: str
    operator: str
    macs: int


@dataclass(frozen=True)
class Floor:
    """Work and time of an explained run.

    Attributes:
        parts: One row for each part that has nodes.
        operators: Rows by part and operator, the most expensive first.
        peak: The machine's peak in this run; None: nothing is multiplied, or shapes are missing.
        ratio: Multiplications of the added nodes, relative to the forward above the layers.
        at_peak_ms: Milliseconds of the added nodes' multiplications at the peak.
        ms: Milliseconds of the added nodes.
        of_above: Their time relative to that of the forward above the layers.
        gap_ms: The difference of ``ms`` and ``at_peak_ms`` by cause, one of `CAUSES`.
        notes: What could not be counted.
    """

    parts: list[Row]
    operators: list[Row]
    peak: Peak | None
    ratio: float | None
    at_peak_ms: float | None
    ms: float
    of_above: float | None
    gap_ms: dict[str, float]
    notes: list[str]

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as plain JSON types."""
        return asdict(self)

    def part(self, part: Part) -> Row | None:
        """Return the row of a whole part; None if it has no nodes."""
        return next((row for row in self.parts if row.part == part), None)


_Node = tuple[NodeTime, Part, Work]


def find_floor(profile: Profile, spec: Spec, graph: SavedGraph | None) -> Floor:
    """Compare the work of a run with the peak.

    Args:
        profile: Profile of an explained run.
        spec: The artifact's metadata.
        graph: The graph as ONNX Runtime optimised it for this run; None: it was not saved.
    """
    parts, saved, notes = place_nodes(profile, spec, graph)
    works = [work_of(node, one) for node, one in zip(profile.nodes, saved, strict=True)]
    notes += _uncounted(profile.nodes, works)
    nodes: list[_Node] = [
        (node, part, work or Work(0, 0))
        for node, part, work in zip(profile.nodes, parts, works, strict=True)
    ]
    peak = _peak(nodes)
    rows = [row for part in PARTS for row in _rows(nodes, part, peak)]
    wholes = [row for row in rows if not row.operator]
    added = next((row for row in wholes if row.part == "added"), None)
    above = next((row for row in wholes if row.part == "above"), None)
    gap: dict[str, float] = dict.fromkeys(CAUSES, 0.0)
    for node, part, work in nodes:
        if peak and part == "added":
            gap[_CAUSE.get(node.operator, OTHER)] += node.ms - (work.macs or 0) / peak.per_ms
    return Floor(
        wholes, [row for row in rows if row.operator], peak,
        added.macs / above.macs if added and above and above.macs else None,
        added.macs / peak.per_ms if added and peak else None,
        added.ms if added else 0.0,
        added.ms / above.ms if added and above and above.ms else None,
        gap if peak and added else {}, notes,
    )  # fmt: skip


def _uncounted(nodes: Sequence[NodeTime], works: Sequence[Work | None]) -> list[str]:
    if any(work is None for work in works):
        return [
            "this ONNX Runtime's profile has no shapes (input_type_shape, output_type_shape), so "
            "that multiplications and bytes are not counted; a newer version has them"
        ]
    found = [
        node
        for node, work in zip(nodes, works, strict=True)
        if (work and work.macs is None) or node.operator in UNCOUNTED
    ]
    if not found:
        return []
    names = ", ".join(sorted({node.operator for node in found}))
    ms = sum(node.ms for node in found)
    return [f"the multiplications of {len(found)} nodes ({names}, {ms:.3f} ms) are not counted"]


def _peak(nodes: Iterable[_Node]) -> Peak | None:
    counted = [(work.macs, node) for node, _, work in nodes if work.macs and node.ms > 0]
    counted.sort(key=lambda one: -one[0])
    whole, reached = sum(macs for macs, _ in counted), 0
    best: Peak | None = None
    for macs, node in counted:
        if reached >= _HALF * whole:
            break
        reached += macs
        if best is None or macs / node.ms > best.per_ms:
            best = Peak(macs / node.ms, node.name, node.operator, macs)
    return best


def _rows(nodes: Sequence[_Node], part: Part, peak: Peak | None) -> list[Row]:
    """Return the row of the whole part, then those of its operators."""
    groups: dict[str, list[_Node]] = defaultdict(list)
    for node in nodes:
        if node[1] == part:
            groups[""].append(node)
            groups[node[0].operator].append(node)
    rows: list[Row] = []
    for operator, found in groups.items():
        ms, macs = sum(node.ms for node, _, _ in found), sum(w.macs or 0 for _, _, w in found)
        share = macs / ms / peak.per_ms if peak and macs and ms else None
        moved = sum(work.bytes for _, _, work in found)
        rows.append(Row(part, operator, len(found), ms, macs, moved, share))
    return sorted(rows, key=lambda row: (row.operator != "", -row.ms))
