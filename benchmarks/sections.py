"""A `Section` describes the page's text and table columns for one part."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .book import Row


@dataclass(frozen=True)
class Column:
    """A column.

    Attributes:
        title: Its heading.
        kind: ``values`` or ``ratios`` of the row.
        name: Name in them.
        digits: Digits after the decimal point.
    """

    title: str
    kind: str
    name: str
    digits: int = 2

    def cell(self, row: Row) -> str:
        """Return median and quartiles; empty if the row has none."""
        found = row.get(self.kind, {}).get(self.name)
        if found is None:
            return ""
        low, median, high = (f"{value:.{self.digits}f}" for value in found)
        return median if low == high else f"{median} ({low} to {high})"


@dataclass(frozen=True)
class Section:
    """The page's section for one part.

    Attributes:
        title: Heading.
        text: What was measured, and how.
        columns: Columns of the table.
        image: Name of the plot, if there is one.
        notes: Makes further lines below the table from the rows.
    """

    title: str
    text: str
    columns: Sequence[Column]
    image: str = ""
    notes: Callable[[Sequence[Row]], list[str]] = lambda rows: []


def name_of(row: Row) -> str:
    """Return a row's first cell."""
    parts = [row["model"]] if row.get("model") else ["imports"]
    parts += [f"`{row['layer']}`"] if row.get("layer") else []
    parts += [f"N = {row['images']}"] if row.get("images") else []
    parts += [row["axis"]] if row.get("axis") else []
    return ", ".join(parts)


def table(columns: Sequence[Column], rows: Sequence[Row]) -> list[str]:
    """Return a table in Markdown; columns without values are left out."""
    filled = [column for column in columns if any(column.cell(row) for row in rows)]
    lines = ["", f"| | {' | '.join(c.title for c in filled)} |", "|---" * (1 + len(filled)) + "|"]
    for row in rows:
        mark = " †" if row["stale"] else ""
        lines.append(f"| {name_of(row)}{mark} | {' | '.join(c.cell(row) for c in filled)} |")
    return lines


def _heads(rows: Sequence[Row]) -> list[str]:
    linear = dict.fromkeys(row["model"] for row in rows if row["linear_head"])
    return ["", f"Pool + linear heads: {', '.join(linear) or 'none of these'}."]


def _left_out(rows: Sequence[Row]) -> list[str]:
    reasons: dict[str, list[str]] = {}
    for row in rows:
        for peer, reason in row["left_out"].items():
            models = reasons.setdefault(f"{peer}: {reason}", [])
            if row["model"] not in models:
                models.append(row["model"])
    if not reasons:
        return []
    lines = ["", "Not timed, since the result is not a Grad-CAM map of that layer:", ""]
    return lines + [f"- {', '.join(models)}: {reason}" for reason, models in reasons.items()]


def _refused(rows: Sequence[Row]) -> list[str]:
    found = [f"- {name_of(row)}: {row['refused']}" for row in rows if "refused" in row]
    return ["", "onnx-ad does not support:", "", *found] if found else []


def _nodes(rows: Sequence[Row]) -> list[str]:
    counts = [
        f"{row['model']} {row['nodes'].get('own', 0)} + {row['nodes'].get('added', 0)}"
        for row in rows
    ]
    return ["", f"Nodes of the model + added nodes: {', '.join(counts)}."]


def _points(rows: Sequence[Row]) -> list[str]:
    """Return all points of the plot, one table for each axis."""
    lines: list[str] = []
    for axis in dict.fromkeys(row["axis"] for row in rows):
        of_axis = [row for row in rows if row["axis"] == axis]
        points = list(of_axis[0]["ratios"])
        lines += ["", f"Explained / plain by {axis}:"]
        plain = [dict(row, axis="", images=0) for row in of_axis]
        lines += table([Column(point, "ratios", point) for point in points], plain)
    return lines


SECTIONS = {
    "last": Section(
        "At the automatic layer",
        "Ratios to the plain forward; times in milliseconds.",
        [
            Column("explained / plain", "ratios", "explained"),
            Column("K = 5 / plain", "ratios", "five"),
            Column("K = 0 / plain", "ratios", "predict"),
            Column("plain, ms", "values", "plain", 1),
            Column("explained, ms", "values", "explained", 1),
        ],
        "last", _heads,
    ),
    "inner": Section(
        "Inner layers",
        "**Extra** is the time of the explained run minus the plain forward, divided by the "
        "forward of the part above the layer (from the layer to the score), measured as a separate "
        "model. An extra of 1 costs as much as running that part once more.",
        [
            Column("extra, K = 1", "ratios", "explained"),
            Column("extra, K = 5", "ratios", "five"),
            Column("K = 0 / plain", "ratios", "predict"),
            Column("plain, ms", "values", "plain", 1),
            Column("explained, ms", "values", "explained", 1),
            Column("part above, ms", "values", "part", 1),
        ],
    ),
    "adjoint": Section(
        "Inner layers against onnx-ad",
        "`onnx_ad.reverse` of the part above the layer, at a fixed batch of 1, which it requires. "
        "Its extra is its graph (forward and adjoint of the part) minus the part's forward; ours "
        "is the explained run minus the plain forward, including the map. Both are divided by the "
        "part's forward.",
        [
            Column("ours / theirs", "ratios", "ours_of_theirs"),
            Column("extra, ours", "ratios", "ours"),
            Column("extra, onnx-ad", "ratios", "theirs"),
            Column("part above, ms", "values", "part", 1),
            Column("onnx-ad's graph, ms", "values", "onnx-ad", 1),
        ],
        notes=_refused,
    ),
    "memory": Section(
        "Peak memory",
        "Peak resident memory, in 10^6 bytes, of a process that loads the file and runs it three "
        "times. The **increment** is the difference to a process that only imports ONNX Runtime.",
        [
            Column("explained / plain", "ratios", "artifact"),
            Column("increment / increment", "ratios", "increment"),
            Column("plain, MB", "values", "plain", 0),
            Column("explained, MB", "values", "artifact", 0),
            Column("imports, MB", "values", "imports", 0),
        ],
    ),
    "size": Section(
        "File size",
        "The artifact of the automatic layer compared with the file of `torch.onnx.export` (which "
        "also stores the source location of each node).",
        [
            Column("artifact / plain", "ratios", "artifact", 4),
            Column("plain, MB", "values", "plain", 2),
            Column("artifact, MB", "values", "artifact", 2),
        ],
        notes=_nodes,
    ),
    "export": Section(
        "Export",
        "`graftcam.export(verify=\"off\")` and `torch.onnx.export`, in turns in one process; ours "
        "includes the choice of the layer.",
        [
            Column("graftcam / torch", "ratios", "graftcam"),
            Column("torch, ms", "values", "torch", 0),
            Column("graftcam, ms", "values", "graftcam", 0),
        ],
    ),
    "imports": Section(
        "Import",
        "Each in a new process, without the interpreter's start. **Libraries**: `import "
        "onnxruntime, cv2, numpy`. **Package**: `import graftcam.runtime`, which loads its names "
        "on first use. **In use**: `from graftcam.runtime import Explainer` and the libraries.",
        [
            Column("package / libraries", "ratios", "package"),
            Column("in use / libraries", "ratios", "all"),
            Column("libraries, ms", "values", "libraries", 0),
            Column("package, ms", "values", "package", 0),
            Column("in use, ms", "values", "all", 0),
        ],
    ),
    "peers": Section(
        "Grad-CAM in PyTorch",
        "The same images, layer and class. **torch** is the forward alone, in `inference_mode`. "
        "Each package is called as its documentation says, and is timed only if its maps agree "
        "with ours (correlation of at least 0.99). The numbers are its time divided by that of the "
        "explained run: above 1 graftcam is faster, below 1 the peer is.",
        [
            Column("torch", "ratios", "torch"),
            Column("pytorch-grad-cam", "ratios", "pytorch-grad-cam"),
            Column("captum", "ratios", "captum"),
            Column("torch-cam", "ratios", "torch-cam"),
            Column("explained, ms", "values", "explained", 1),
        ],
        "peers", _left_out,
    ),
    "cold": Section(
        "Cold start",
        "Time from the start of a process to its first map of one image file, including all "
        "imports and the loading of the model, and the process's peak memory. **Bare** is ONNX "
        "Runtime on the plain file, which only predicts, from preprocessed pixels. **Optimised** "
        "is the file that `graftcam optimize` makes of the artifact; **load** is only the opening "
        "of a file.",
        [
            Column("time / pytorch-grad-cam", "ratios", "time"),
            Column("memory / pytorch-grad-cam", "ratios", "memory"),
            Column("graftcam, ms", "values", "graftcam", 0),
            Column("pytorch-grad-cam, ms", "values", "pytorch-grad-cam", 0),
            Column("graftcam / bare", "ratios", "bare"),
            Column("optimised / graftcam", "ratios", "optimised"),
            Column("optimised, ms", "values", "optimised", 0),
            Column("bare, ms", "values", "bare", 0),
            Column("load artifact, ms", "values", "load artifact", 0),
            Column("load optimised, ms", "values", "load optimised", 0),
            Column("load plain, ms", "values", "load plain", 0),
            Column("graftcam, MB", "values", "graftcam MB", 0),
            Column("pytorch-grad-cam, MB", "values", "pytorch-grad-cam MB", 0),
            Column("bare, MB", "values", "bare MB", 0),
        ],
    ),
    "scaling": Section(
        "Scaling",
        "One of N (images in a run), K (classes for each image), side (of the image, in pixels; "
        "files with open height and width) and threads varies; the others are 1, 1, 224 and "
        "{threads}. The plot shows the time of a run divided by the plain forward at the first "
        "point; for K, the ratio to the plain forward.",
        [], "scaling", _points,
    ),
}  # fmt: skip
