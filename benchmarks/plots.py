"""These functions draw the page's plots as SVG files whose bytes depend only on the figures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator, ScalarFormatter

from .book import Row

mpl.use("Agg")
mpl.rcParams.update(
    {
        "svg.hashsalt": "graftcam", "svg.fonttype": "path", "font.size": 9,
        "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True,
        "grid.color": "#e5e5e5", "axes.axisbelow": True, "legend.frameon": False,
    }
)  # fmt: skip
_COLOURS = ("#0b6e99", "#e07b39", "#6b8f3c", "#8a5aa8")
_INK = "#222222"


def plot_last(rows: Sequence[Row], path: Path) -> None:
    """Plot ratios to the plain forward, one panel for each N, quartiles as bars."""
    labels = {"predict": "K = 0", "explained": "K = 1", "five": "K = 5"}
    for axes, found, places in _by_model(rows, path, 0.42, 3):
        for number, (name, label) in enumerate(labels.items()):
            spreads = [row["ratios"][name] for row in found]
            axes.errorbar(
                [s[1] for s in spreads], [place + 0.22 * (number - 1) for place in places],
                xerr=_whiskers(spreads), fmt="o", markersize=4, color=_COLOURS[number],
                label=label, linewidth=1.2,
            )  # fmt: skip
        axes.set(xlabel="time / plain ONNX Runtime forward")


def plot_peers(rows: Sequence[Row], path: Path) -> None:
    """Plot each peer's time divided by the explained run's, one panel for each N."""
    labels = {"torch": "torch, forward only"}
    for axes, found, places in _by_model(rows, path, 0.55, 4):
        for number, name in enumerate(("torch", "captum", "torch-cam", "pytorch-grad-cam")):
            timed = {p: row["ratios"][name] for p, row in zip(places, found, strict=True)
                     if name in row["ratios"]}  # fmt: skip
            axes.barh(
                [place + 0.2 * (number - 1.5) for place in timed],
                [spread[1] - 1 for spread in timed.values()], left=1, height=0.18,
                color=_COLOURS[number], label=labels.get(name, name),
                xerr=_whiskers(timed.values()), error_kw={"linewidth": 0.8, "ecolor": _INK},
            )  # fmt: skip
        axes.set(xlabel="time / explained run of graftcam", xscale="log")
        axes.xaxis.set_major_locator(FixedLocator([0.5, 1, 2, 4, 8, 16]))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(ScalarFormatter())
        axes.grid(visible=False, axis="y")


def plot_scaling(rows: Sequence[Row], path: Path) -> None:
    """Plot the time of a run by N, K, side and threads, relative to plain at the first point.

    The plain forward has no K: there the rounds' ratios are shown.
    """
    labels = {"N": "images (N)", "K": "classes (K)", "side": "side of the image, px"}
    groups = _by(rows, "axis")
    figure, panels = _panels(len(groups), 2.9 * len(groups), 3.2)
    names = list(dict.fromkeys((row["model"], row["layer"]) for row in rows))
    for axes, (axis, found) in zip(panels, groups.items(), strict=True):
        points = [int(point) for point in found[0]["ratios"]]
        for row in found:
            unit = row["values"][f"plain {points[0]}"][1]
            colour = _COLOURS[names.index((row["model"], row["layer"]))]
            plain, explained = (
                [row["values"][f"{kind} {point}"][1] / unit for point in points]
                for kind in ("plain", "explained")
            )
            if axis == "K":
                plain = [1.0] * len(points)
                explained = [ratio[1] for ratio in row["ratios"].values()]
            label = f"{row['model']}, {row['layer']}"
            axes.plot(points, explained, "-o", color=colour, markersize=3, label=label)
            axes.plot(points, plain, ":", color=colour)
        axes.set(xlabel=labels.get(str(axis), str(axis)), xticks=_ticks(points))
        axes.set_ylim(bottom=0)
    panels[0].set_ylabel("time / plain at the first point")
    panels[0].plot([], [], ":", color=_INK, label="plain forward")
    _save(figure, panels[0], 4, path)


def plot_detector(rows: Sequence[Row], path: Path) -> None:
    """Plot the cost of a detector's run against the number of explained boxes."""
    figure, (axes,) = _panels(1, 5.2, 3.4)
    points = [int(name) for name in rows[0]["ratios"] if name.isdigit()]
    for row, colour in zip(rows, _COLOURS, strict=False):
        found = [row["ratios"][str(point)] for point in points]
        axes.errorbar(
            points, [spread[1] for spread in found], yerr=_whiskers(found), fmt="-o", markersize=4,
            color=colour, label=row["model"], linewidth=1.2,
        )  # fmt: skip
    axes.axhline(1, color=_INK, linestyle=":", label="plain forward")
    axes.set(xlabel="explained boxes (K)", ylabel="time / plain forward", xticks=_ticks(points))
    axes.set_ylim(bottom=0)
    _save(figure, axes, 2, path)


PLOTS = {
    "last": plot_last, "peers": plot_peers, "scaling": plot_scaling, "detector": plot_detector,
}  # fmt: skip


def _panels(count: int, width: float, height: float, **options: Any) -> tuple[Figure, Any]:
    figure, panels = plt.subplots(
        1, count, figsize=(width, height), squeeze=False, layout="constrained", **options
    )
    return figure, panels[0]


def _by_model(
    rows: Sequence[Row], path: Path, height: float, columns: int
) -> Iterator[tuple[Any, list[Row], list[int]]]:
    """Yield a panel for each N to draw in, with its rows and their models' places; then save."""
    groups = _by(rows, "images")
    models = list(dict.fromkeys(row["model"] for row in rows))
    figure, panels = _panels(len(groups), 9, 1.2 + height * len(models), sharey=True)
    for axes, (images, found) in zip(panels, groups.items(), strict=True):
        yield axes, found, [models.index(row["model"]) for row in found]
        axes.axvline(1, color=_INK, linewidth=0.8)
        axes.set(title=f"N = {images}")
        axes.set_yticks(range(len(models)), models)
    panels[0].set_ylim(len(models) - 0.4, -0.6)
    _save(figure, panels[0], columns, path)


def _by(rows: Sequence[Row], name: str) -> dict[Any, list[Row]]:
    groups: dict[Any, list[Row]] = {}
    for row in rows:
        groups.setdefault(row[name], []).append(row)
    return groups


def _ticks(points: Sequence[int]) -> list[int]:
    """Return the points whose labels have room."""
    kept = [points[0]]
    for point in points[1:]:
        if point - kept[-1] >= 0.1 * (points[-1] - points[0]):
            kept.append(point)
    return kept


def _whiskers(spreads: Iterable[Any]) -> list[list[float]]:
    low, high = zip(*((s[1] - s[0], s[2] - s[1]) for s in spreads), strict=True)
    return [list(low), list(high)]


def _save(figure: Figure, axes: Any, columns: int, path: Path) -> None:
    """Add the legend of ``axes`` and write the file."""
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=columns)
    figure.savefig(path, metadata={"Date": None}, facecolor="white")
    plt.close(figure)
