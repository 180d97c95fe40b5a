"""`write_page` writes the tables of ``docs/engines.md`` from the stored rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..book import Book, Row, other_processors, preliminary
from ..script import shown, table
from .engines import ENGINES
from .subjects import CASES
from .verdict import EXPLANATION_BOUND, FORWARD_BOUND

_BEGIN, _END = "<!-- tables -->\n", "<!-- end of tables -->"
_METHOD = """Values are compared with those of ONNX Runtime's CPU, on three images and two classes
(of detectors, two targets of the best boxes), in the median of the images:

- **right**: the model's own outputs, scores and activations are within {forward:g} (relative L2),
  gradients and heatmaps within {explanation:g}. Where ONNX Runtime itself, without its graph
  optimisations, differs by more than a quarter of that, the bound is four times its difference:
  where a ReLU flips by rounding, the gradient jumps;
- **other forward**: the engine's prediction differs already. **wrong**: only its explanation
  differs;
- **unread**: it does not open a file. **failed**: it opens all and cannot run one. **crashed**,
  **timeout**: its process ended, or had to be ended.

Images of 224 x 224 (detectors: their own size), random weights except the detectors', float32, an
open batch axis, threads of each engine: {threads}.
Machine: {cpu}, {cores} cores, {system}; {tools}.
{quiet}"""
_ABSENT = {"not installed", "no device"}  # the same for all models


def write_page(book: Book, path: Path) -> None:
    """Write the tables between the page's marks."""
    head, rest = path.read_text("utf-8").split(_BEGIN, 1)
    lines = "\n".join(tables(book))
    path.write_text(f"{head}{_BEGIN}\n{lines}\n\n{_END}{rest.split(_END, 1)[1]}", "utf-8")


def tables(book: Book) -> list[str]:
    """Return the tables and what they say."""
    rows = list(book.rows.values())
    tools = ", ".join(f"{name} {version}" for name, version in book.machine["versions"].items())
    text = _METHOD.format(
        **book.machine, tools=tools, quiet=_quietness(rows, book.code),
        forward=FORWARD_BOUND, explanation=EXPLANATION_BOUND,
    )  # fmt: skip
    return [
        *_engines(rows), "", _missing(rows), "", text, "", "### Right or wrong", "",
        "The verdict, and the largest error of gradients and heatmaps.", "",
        *_matrix(rows, _verdict), *_reasons(rows), "", "### Time", "",
        "A run that predicts and explains one class, in units of the engine's own run of the plain "
        "file; medians of rounds in turns (in brackets the plain run's milliseconds).", "",
        *_matrix([row for row in rows if row.get("ratios")], _time), *_peers(rows), "",
        "### Size and memory", "",
        "The file, and what opening and first running it adds to the process: plain + what the "
        "artifact has more.", "",
        *_sizes(rows),
    ]  # fmt: skip


def _missing(rows: Sequence[Row]) -> str:
    """Say how much of the list is measured."""
    found = {_case(row) for row in rows}
    text = f"{len(found)} of {len(CASES)} models and layers are measured"
    return f"{text}; the others are not run yet." if len(found) < len(CASES) else f"{text}."


def _engines(rows: Sequence[Row]) -> list[str]:
    """Return the table of engines: version, and on how many rows each is right."""
    cells: list[list[str]] = []
    for engine in ENGINES:
        own = [row for row in rows if row["engine"] == engine.name]
        version = next((f" {row['version']}" for row in own if row["version"]), "")
        counts = {state: sum(row["state"] == state for row in own)
                  for state in dict.fromkeys(row["state"] for row in own)}  # fmt: skip
        absent = next((row for row in own if row["state"] in _ABSENT), None)
        result = ", ".join(f"{count} {state}" for state, count in counts.items()) or "not tried"
        if absent:
            result = " ".join((absent["state"], absent["reason"])).strip()
        cells.append([engine.title, f"`{engine.name}`", f"`{engine.package}`{version}",
                      f"`{engine.profile}`", result])  # fmt: skip
    return table(["engine", "`--engine`", "package", "profile", "result"], cells)


def _matrix(rows: Sequence[Row], cell: object) -> list[str]:
    """Return a table with a row for each model and layer, and a column for each engine."""
    seen = {row["engine"] for row in rows if row["state"] not in _ABSENT}
    present = [one for one in ENGINES if one.name in seen]
    cells: list[list[str]] = []
    for key in dict.fromkeys(_case(row) for row in rows):
        own = {row["engine"]: row for row in rows if _case(row) == key}
        layers = next((row["layers"] for row in own.values() if row.get("layers")), [])
        first = next(iter(own.values()))
        cells.append([first["family"], f"`{first['model']}`", _layers(layers),
                      *(_of(own.get(one.name), cell) for one in present)])  # fmt: skip
    return table(["family", "model", "layer", *(one.title for one in present)], cells)


def _layers(names: Sequence[str]) -> str:
    if not names:
        return ""
    return f"`{names[0]}`" + (f" and {len(names) - 1} more" if len(names) > 1 else "")


def _of(row: Row | None, cell: object) -> str:
    assert callable(cell)
    return "" if row is None or row["state"] in _ABSENT else str(cell(row))


def _case(row: Row) -> str:
    return row["key"].partition("/")[2]


def _verdict(row: Row) -> str:
    if "errors" not in row:
        return f"**{row['state']}**"
    error = row["explanation"]
    state = row["state"] if row["state"] == "right" else f"**{row['state']}**"
    return f"{state} {'no number' if error is None else f'{error:.0e}'}"


def _time(row: Row) -> str:
    if not row.get("ratios"):
        return ""
    return f"{row['ratios']['explained'][1]:.2f} ({row['values']['plain'][1]:.0f})"


def _sizes(rows: Sequence[Row]) -> list[str]:
    cells: list[list[str]] = []
    for key in dict.fromkeys(_case(row) for row in rows):
        own = {row["engine"]: row for row in rows if _case(row) == key and row.get("bytes")}
        if "cpu" not in own:
            continue
        first = own["cpu"]
        plain, made = (size / 1e6 for size in first["bytes"])
        memory = [_memory(own.get(name)) for name in ("cpu", "openvino", "web")]
        size = f"{plain:.1f} + {made - plain:.2f}"
        cells.append([first["family"], _layers(first["layers"]), size, *memory])
    heads = ["family", "layer", "file, MB", "ONNX Runtime, MB", "OpenVINO, MB", "WebAssembly, MB"]
    return table(heads, cells)


def _memory(row: Row | None) -> str:
    found = {} if row is None else row.get("memory") or {}
    if not found:
        return ""
    return f"{found['plain']:.0f} + {found['explained'] - found['plain']:.0f}"


def _reasons(rows: Sequence[Row]) -> list[str]:
    """Return a line for each row that is not right."""
    titles = {engine.name: engine.title for engine in ENGINES}
    lines: list[str] = []
    for row in rows:
        if row["state"] in _ABSENT | {"right"}:
            continue
        layers = _layers(row.get("layers", []))
        where = f"- {titles[row['engine']]}, {row['model']}, {layers}: {row['state']}"
        if "errors" in row:
            name, error = max(row["errors"].items(), key=_size)
            what = "is no number" if error is None else f"differs by {error:.0e}"
            lines.append(f"{where}, `{name}` {what}.")
        else:
            file = f" ({row['file']} file)" if row.get("file") else ""
            lines.append(f"{where}{file}: {row['reason']}")
    return ["", *lines] if lines else []


def _peers(rows: Sequence[Row]) -> list[str]:
    """Return a line for the maps of OpenVINO XAI, where they were timed."""
    found = list[str]()
    for row in (row for row in rows if "peer" in row.get("ratios", {})):
        theirs, ours = (shown(row["ratios"][name], 2) for name in ("peer", "explained"))
        found.append(f"{row['model']} {theirs} (graftcam {ours})")
    if not found:
        return []
    text = (
        "OpenVINO XAI in OpenVINO, in the same runs, in units of the plain file: "
        f"{'; '.join(found)}. Its map (ReciproCAM) covers the features place by place instead of "
        "differentiating, for all classes at once."
    )
    return ["", text]


def _size(pair: tuple[str, float | None]) -> float:
    """Order errors; one that is no number is stored as None, and is the largest."""
    return float("inf") if pair[1] is None else pair[1]


def _quietness(rows: Sequence[Row], code: str) -> str:
    """Return what limits the figures, if anything does."""
    timed = [row for row in rows if row.get("ratios")]
    remarks = (other_processors(timed), preliminary(timed, code))
    return "".join(f"\n{remark}\n" for remark in remarks if remark)
