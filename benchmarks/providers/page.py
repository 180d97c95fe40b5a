"""`write_page` writes ``docs/providers.md`` from the stored rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..book import Book, Row, mark, other_processors, preliminary
from ..script import shown, table
from .engines import ENGINES
from .verdict import EXPLANATION_BOUND, FORWARD_BOUND

_TEXT = """# Other engines

Written by `python -m benchmarks.providers`; do not edit. `providers.json` holds the same figures.

One ONNX file, several engines: which of them compute the right map, and what it costs there.
Images of 224 x 224, random weights, float32, an open batch axis, threads of each engine: {threads}.
**Plain** is the file that `torch.onnx.export` writes. **Explained** is the artifact with one class;
prediction, score and heatmap are fetched. **Explained / plain** is the ratio of their times.
**Extra**, at inner layers, is the difference divided by the time of the part above the layer: an
extra of 1 costs as much as running that part once more. All run in turns; figures are medians
(quartiles), ratios are computed within a round. A GPU that a processor imitates is compared, not
timed.

Values are compared with those of ONNX Runtime's CPU, on three images and two classes:

- **right**: the model's own outputs, score and activations are within {forward:g} (relative L2),
  gradients and heatmap within {explanation:g}, in the median of the images. Where ONNX Runtime
  itself, without its graph optimisations, differs by more than a quarter of that, the bound is four
  times its difference: where a ReLU flips by rounding, the gradient jumps;
- **other forward**: the engine's prediction differs already;
- **wrong**: only its explanation differs;
- **unread**: it does not open a file. **failed**: it opens all and cannot run one. **crashed**,
  **timeout**: its process ended, or had to be ended.

All engines but the first run the artifact of `--profile web`: they know no default value of an
input, or no `Indices` of a pool.

Machine: {cpu}, {cores} cores, {system}; {tools}.
{quiet}"""


def write_page(book: Book, path: Path) -> None:
    """Write the page."""
    rows = list(book.rows.values())
    tools = ", ".join(f"{name} {version}" for name, version in book.machine["versions"].items())
    text = _TEXT.format(
        **book.machine, tools=tools, quiet=_quietness(rows, book.code),
        forward=FORWARD_BOUND, explanation=EXPLANATION_BOUND,
    )  # fmt: skip
    lines = [text, "", "## Engines", "", *_engines(rows)]
    titles = {engine.name: engine.title for engine in ENGINES}
    for model, layer in dict.fromkeys((r["model"], r["key"].rpartition("/")[2]) for r in rows):
        of_case = [r for r in rows if (r["model"], r["key"].rpartition("/")[2]) == (model, layer)]
        place = next((r["layer"] for r in of_case if r["layer"]), layer)
        measured = [row for row in of_case if "errors" in row]
        if measured:
            lines += ["", f"## {model}, `{place}`", "", *_measured(measured, titles, book.code)]
            lines += _reasons([r for r in of_case if r["state"] not in _ABSENT | {"right"}], titles)
            lines += _peers(measured, titles)
        elif any(row["state"] not in _ABSENT for row in of_case):
            lines += ["", f"## {model}, `{place}`", *_reasons(of_case, titles)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", "utf-8")


_ABSENT = {"not installed", "no device"}  # the same for all models


def _engines(rows: Sequence[Row]) -> list[str]:
    """Return the table of engines: version, device, and on how many rows each is right."""
    cells: list[list[str]] = []
    for engine in ENGINES:
        own = [row for row in rows if row["engine"] == engine.name]
        if not own:
            cells.append([engine.title, f"`{engine.package}`", "", "not tried"])
            continue
        version = next((f" {row['version']}" for row in own if row["version"]), "")
        device = next((row["device"] for row in own if row.get("device")), "")
        counts = {state: sum(row["state"] == state for row in own)
                  for state in dict.fromkeys(row["state"] for row in own)}  # fmt: skip
        absent = next((row for row in own if row["state"] in _ABSENT), None)
        result = ", ".join(f"{count} {state}" for state, count in counts.items())
        if absent:
            result = f"{absent['state']}: {absent['reason']}"
        cells.append([engine.title, f"`{engine.package}`{version}", device, result])
    return table(["engine", "package", "runs on", "result"], cells)


def _measured(rows: Sequence[Row], titles: dict[str, str], code: str) -> list[str]:
    cells: list[list[str]] = []
    for row in rows:
        errors = [row["errors"][name] for name in _explanation(row)]
        cells.append([
            f"{titles[row['engine']]}{mark(row, code)}",
            row["state"] if row["state"] == "right" else f"**{row['state']}**",
            *map(_text, errors),
            *(_cell(row["values"].get(name), 1) for name in ("plain", "explained", "part")),
            *(_cell(row["ratios"].get(name), 2, quartiles=True) for name in ("explained", "extra")),
        ])  # fmt: skip
    heads = ["engine", "", "error of the gradients", "of the heatmap", "plain, ms", "explained, ms",
             "part above, ms", "explained / plain", "extra"]  # fmt: skip
    return table(heads, cells)


def _cell(spread: Sequence[float] | None, digits: int, *, quartiles: bool = False) -> str:
    """Return a figure's median, or nothing for one that was not measured."""
    if spread is None:
        return ""
    return shown(spread, digits) if quartiles else f"{spread[1]:.{digits}f}"


def _explanation(row: Row) -> list[str]:
    """Names of the row's gradients and heatmap: a model that has such names adds a suffix."""
    return [next((n for n in row["errors"] if n.startswith(word)), word)
            for word in ("gradients", "heatmap")]  # fmt: skip


def _reasons(rows: Sequence[Row], titles: dict[str, str]) -> list[str]:
    """Return a line for each engine that is not right."""
    lines: list[str] = []
    for row in rows:
        title = titles[row["engine"]]
        if "errors" in row:
            name, error = max(row["errors"].items(), key=_size)
            what = "is no number" if error is None else f"differs by {error:.0e}"
            lines.append(f"- {title}, {row['state']}: `{name}` {what}.")
        else:
            file = f" ({row['file']} file)" if row.get("file") else ""
            lines.append(f"- {title}, {row['state']}{file}: {row['reason']}")
    return ["", *lines] if lines else []


def _peers(rows: Sequence[Row], titles: dict[str, str]) -> list[str]:
    """Return a line for the map of OpenVINO XAI, where it was timed."""
    return [
        line
        for row in rows if "peer" in row["ratios"]
        for line in ("", f"OpenVINO XAI in {titles[row['engine']]}, in the same run: "
                     f"{shown(row['ratios']['peer'], 2)} of plain. Its map (ReciproCAM) covers the "
                     "features place by place instead of differentiating, for all classes at once.")
    ]  # fmt: skip


def _text(error: float | None) -> str:
    return "no number" if error is None else f"{error:.0e}"


def _size(pair: tuple[str, float | None]) -> float:
    """Order errors; one that is no number is stored as None, and is the largest."""
    return float("inf") if pair[1] is None else pair[1]


def _quietness(rows: Sequence[Row], code: str) -> str:
    """Return what limits the figures, if anything does."""
    timed = [row for row in rows if row.get("ratios")]
    remarks = (other_processors(timed), preliminary(timed, code))
    return "".join(f"\n{remark}\n" for remark in remarks if remark)
