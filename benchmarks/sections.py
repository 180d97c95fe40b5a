"""A `Section` describes the page's text and table columns for one part."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .book import Row
from .floor_tables import floor_tables
from .script import shown, table

# Title, ``values`` or ``ratios`` of the row, name in them, digits after the decimal point.
Column = tuple[str, str, str, int]


@dataclass(frozen=True)
class Section:
    """The page's section for one part.

    Attributes:
        title: Heading.
        text: What was measured, and how.
        columns: Columns of the table.
        notes: Makes further lines below the table from the rows.
    """

    title: str
    text: str
    columns: Sequence[Column]
    notes: Callable[[Sequence[Row]], list[str]] | None = None


def name_of(row: Row) -> str:
    """Return a row's first cell."""
    parts = [row["model"]] if row.get("model") else ["imports"]
    parts += [f"`{row['layer']}`"] if row.get("layer") else []
    parts += [f"N = {row['images']}"] if row.get("images") else []
    parts += [row["axis"]] if row.get("axis") else []
    return ", ".join(parts)


def _cell(spread: Sequence[float] | None, digits: int) -> str:
    """Return median and quartiles, or the median alone if they do not differ."""
    if spread is None:
        return ""
    low, median, high = (f"{value:.{digits}f}" for value in spread)
    return median if low == high else shown(spread, digits)


def table_of(columns: Sequence[Column], rows: Sequence[Row]) -> list[str]:
    """Return a table in Markdown; columns without values are left out."""
    cells = {"": [name_of(row) + row["mark"] for row in rows]}
    for title, kind, name, digits in columns:
        column = [_cell(row.get(kind, {}).get(name), digits) for row in rows]
        if any(column):
            cells[title] = column
    return ["", *table(list(cells), zip(*cells.values(), strict=True))]


def _heads(rows: Sequence[Row]) -> list[str]:
    linear = dict.fromkeys(row["model"] for row in rows if row["linear_head"])
    return ["", f"Pool + linear heads: {', '.join(linear) or 'none of these'}."]


def _left_out(rows: Sequence[Row]) -> list[str]:
    reasons: dict[str, dict[str, None]] = {}
    for row in rows:
        for peer, reason in row["left_out"].items():
            reasons.setdefault(f"{peer}: {reason}", {})[row["model"]] = None
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
        lines += table_of([(point, "ratios", point, 2) for point in points], plain)
    return lines


def _ratios(*names: str, digits: int = 2, **titles: str) -> list[Column]:
    """Columns of ratios: those with their own name as title, then those with another one."""
    both = {name: name for name in names} | titles
    return [(title, "ratios", name, digits) for name, title in both.items()]


def _values(unit: str, digits: int, *names: str, **titles: str) -> list[Column]:
    """As `_ratios`, of values."""
    found = _ratios(*names, digits=digits, **titles)
    return [(f"{title}, {unit}", "values", name, digits) for title, _, name, _ in found]


SECTIONS = {
    "last": Section(
        "At the automatic layer",
        "Ratios to the plain forward; times in milliseconds.",
        [
            *_ratios(explained="explained / plain", five="K = 5 / plain", predict="K = 0 / plain"),
            *_values("ms", 1, "plain", "explained"),
        ],
        _heads,
    ),
    "inner": Section(
        "Inner layers",
        "**Extra** is the time of the explained run minus the plain forward, divided by the "
        "forward of the part above the layer (from the layer to the score), measured as a separate "
        "model. An extra of 1 costs as much as running that part once more.",
        [
            *_ratios(explained="extra, K = 1", five="extra, K = 5", predict="K = 0 / plain"),
            *_values("ms", 1, "plain", "explained", part="part above"),
        ],
    ),
    "floor": Section(
        "The floor",
        "Inner layers of all kinds of networks; **plain** is here the model inside the artifact. "
        "**Extra** is, as above, the time of the explained run minus the plain forward, divided "
        "by the forward of the part above the layer. **A map** of K = 4 and of N = 8 is what "
        "explaining adds, divided by the number of maps, relative to K = 1 and N = 1. **Memory** "
        "is the peak above a process that only imports ONNX Runtime, relative to the plain "
        "model's.",
        [
            *_ratios(
                explained="extra, K = 1", predict="K = 0 / plain", four="a map, K = 4",
                eight="a map, N = 8", memory="memory / plain",
            ),
            *_values("ms", 1, "plain", "explained", part="part above"),
            *_values("MB", 0, **{"plain MB": "plain", "explained MB": "explained"}),
        ],
        floor_tables(name_of),
    ),
    "attention": Section(
        "Attention",
        "Transformers whose graph makes the map of a method of attention; ratios to the plain "
        "forward, one image. **Grad-CAM** is at the automatic layer; the other maps follow the "
        "attention of all blocks (Grad-ECLIP: of the last). **K = 0** is a prediction alone by the "
        "artifact with LeGrad. Beside them PyTorch's forward alone, and pytorch-grad-cam's "
        "Grad-CAM at the same layer.",
        [
            *_ratios(
                "rollout", "legrad", "gradient-rollout", "grad-eclip", "torch", "pytorch-grad-cam",
                gradcam="Grad-CAM", predict="K = 0",
            ),
            *_values("ms", 1, "plain"),
        ],
    ),
    "adjoint": Section(
        "Inner layers against onnx-ad",
        "`onnx_ad.reverse` of the part above the layer, at a fixed batch of 1, which it requires. "
        "Its extra is its graph (forward and adjoint of the part) minus the part's forward; ours "
        "is the explained run minus the plain forward, including the map. Both are divided by the "
        "part's forward.",
        [
            *_ratios(ours_of_theirs="ours / theirs", ours="extra, ours", theirs="extra, onnx-ad"),
            *_values("ms", 1, **{"part": "part above", "onnx-ad": "onnx-ad's graph"}),
        ],
        _refused,
    ),
    "memory": Section(
        "Peak memory",
        "Peak resident memory, in 10^6 bytes, of a process that loads the file and runs it three "
        "times. The **increment** is the difference to a process that only imports ONNX Runtime.",
        [
            *_ratios(artifact="explained / plain", increment="increment / increment"),
            *_values("MB", 0, "plain", artifact="explained", imports="imports"),
        ],
    ),
    "size": Section(
        "File size",
        "The artifact of the automatic layer compared with the file of `torch.onnx.export` (which "
        "also stores the source location of each node).",
        [*_ratios(digits=4, artifact="artifact / plain"), *_values("MB", 2, "plain", "artifact")],
        _nodes,
    ),
    "export": Section(
        "Export",
        "`graftcam.export(verify=\"off\")` and `torch.onnx.export`, in turns in one process; ours "
        "includes the choice of the layer.",
        [*_ratios(graftcam="graftcam / torch"), *_values("ms", 0, "torch", "graftcam")],
    ),
    "verified": Section(
        "Verified export",
        "Processor seconds (of all threads) and peak resident memory, in 10^6 bytes, of a process "
        "that makes the model and exports it, its imports included. **torch** is "
        "`torch.onnx.export`; **off**, **quick** and **full** are `graftcam.export` with that "
        "verification; **load** only makes the model.",
        [
            *_ratios(quick="quick / torch", full="full / torch"),
            *_values("s", 1, *("load", "torch", "off", "quick", "full")),
            *_values("MB", 0, **{f"{how} MB": how for how in ("load", "torch", "quick", "full")}),
        ],
    ),
    "imports": Section(
        "Import",
        "Each in a new process, without the interpreter's start. **Libraries**: `import "
        "onnxruntime, cv2, numpy`. **Package**: `import graftcam.runtime`, which loads its names "
        "on first use. **Explainer**: `from graftcam.runtime import Explainer` and the libraries. "
        "**Opened**: what is imported once the first artifact is opened, and the libraries.",
        [
            *_ratios(
                package="package / libraries",
                all="Explainer / libraries",
                opened="opened / libraries",
            ),
            *_values("ms", 0, "libraries", "package", all="Explainer", opened="opened"),
        ],
    ),
    "peers": Section(
        "Grad-CAM in PyTorch",
        "The same images, layer and class. **torch** is the forward alone, in `inference_mode`. "
        "Each package is called as its documentation says, and is timed only if its maps agree "
        "with ours (correlation of at least 0.99). The numbers are its time divided by that of the "
        "explained run: above 1 graftcam is faster, below 1 the peer is.",
        [
            *_ratios("torch", "pytorch-grad-cam", "captum", "torch-cam"),
            *_values("ms", 1, "explained"),
        ],
        _left_out,
    ),
    "cold": Section(
        "Cold start",
        "Time from the start of a process to its first map of one image file, including all "
        "imports and the loading of the model, and the process's peak memory. **Bare** is ONNX "
        "Runtime on the plain file, which only predicts, from preprocessed pixels. **Optimised** "
        "is the file that `graftcam optimize` makes of the artifact; **load** is only the opening "
        "of a file.",
        [
            *_ratios(time="time / pytorch-grad-cam", memory="memory / pytorch-grad-cam"),
            *_values("ms", 0, "graftcam", "pytorch-grad-cam"),
            *_ratios(bare="graftcam / bare", optimised="optimised / graftcam"),
            *_values(
                "ms", 0, "optimised", "bare", "load artifact", "load optimised", "load plain"
            ),
            *_values("MB", 0, **{f"{n} MB": n for n in ("graftcam", "pytorch-grad-cam", "bare")}),
        ],
    ),
    "scaling": Section(
        "Scaling",
        "One of N (images in a run), K (classes for each image), side (of the image, in pixels; "
        "files with open height and width) and threads varies; the others are 1, 1, 224 and "
        "{threads}. The plot shows the time of a run divided by the plain forward at the first "
        "point; for K, the ratio to the plain forward.",
        [], _points,
    ),
    "detector": Section(
        "Boxes",
        "A published detector (YOLOv8n of `nudenet`, 320 px) explained at the inputs of its heads, "
        "for the K best boxes. **Extra** is the time of K = 1 minus the plain forward, divided by "
        "the forward of what lies above the layers.",
        [
            *_ratios(extra="extra, K = 1"),
            *((f"K = {k} / plain", "ratios", str(k), 2) for k in (0, 1, 2, 4, 8, 16)),
            *_values("ms", 1, "plain", part="part above"),
        ],
    ),
}  # fmt: skip
