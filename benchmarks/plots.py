"""These functions draw the page's plots as SVG files whose bytes depend only on the figures."""

from __future__ import annotations

from collections.abc import Sequence
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
    names = {"predict": "K = 0", "explained": "K = 1", "five": "K = 5"}
    groups = _by(rows, "images")
    models = list(dict.fromkeys(row["model"] for row in rows))
    figure, panels = _panels(len(groups), 9, 1.2 + 0.42 * len(models), sharey=True)
    for axes, (images, found) in zip(panels, groups.items(), strict=True):
        for number, (name, label) in enumerate(names.items()):
            places = [models.index(row["model"]) + 0.22 * (number - 1) for row in found]
            _dots(axes, [row["ratios"][name] for row in found], places, _COLOURS[number], label)
        axes.axvline(1, color=_INK, linewidth=0.8)
        axes.set(title=f"N = {images}", xlabel="time / plain ONNX Runtime forward")
        axes.set_yticks(range(len(models)), models)
    panels[0].set_ylim(len(models) - 0.4, -0.6)
    _legend(figure, panels[0], 3)
    _save(figure, path)


def plot_peers(rows: Sequence[Row], path: Path) -> None:
    """Plot each peer's time divided by the explained run's, one panel for each N."""
    names = ("torch", "captum", "torch-cam", "pytorch-grad-cam")
    groups = _by(rows, "images")
    models = list(dict.fromkeys(row["model"] for row in rows))
    figure, panels = _panels(len(groups), 9, 1.2 + 0.55 * len(models), sharey=True)
    for axes, (images, found) in zip(panels, groups.items(), strict=True):
        for number, name in enumerate(names):
            timed = [row for row in found if name in row["ratios"]]
            places = [models.index(row["model"]) + 0.2 * (number - 1.5) for row in timed]
            label = "torch, forward only" if name == "torch" else name
            _bars(axes, [row["ratios"][name] for row in timed], places, _COLOURS[number], label)
        axes.axvline(1, color=_INK, linewidth=0.8)
        axes.set(title=f"N = {images}", xlabel="time / explained run of graftcam")
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(FixedLocator([0.5, 1, 2, 4, 8, 16]))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(ScalarFormatter())
        axes.set_yticks(range(len(models)), models)
        axes.grid(visible=False, axis="y")
    panels[0].set_ylim(len(models) - 0.4, -0.6)
    _legend(figure, panels[0], 4)
    _save(figure, path)


def plot_scaling(rows: Sequence[Row], path: Path) -> None:
    """Plot the time of a run by N, K, side and threads, relative to plain at the first point.

    The plain forward has no K: there the rounds' ratios are shown.
    """
    labels = {"N": "images (N)", "K": "classes (K)", "side": "side of the image, px"}
    groups = _by(rows, "axis")
    figure, panels = _panels(len(groups), 2.9 * len(groups), 3.2)
    names = list(dict.fromkeys((row["model"], row["layer"]) for row in rows))
    for axes, (axis, found) in zip(panels, groups.items(), strict=True):
        for row in found:
            points = [int(point) for point in row["ratios"]]
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
    _legend(figure, panels[0], 4)
    _save(figure, path)


PLOTS = {"last": plot_last, "peers": plot_peers, "scaling": plot_scaling}


def _panels(count: int, width: float, height: float, **options: Any) -> tuple[Figure, Any]:
    figure, panels = plt.subplots(
        1, count, figsize=(width, height), squeeze=False, layout="constrained", **options
    )
    return figure, panels[0]


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


def _dots(axes: Any, spreads: list[Any], places: list[float], colour: str, label: str) -> None:
    axes.errorbar(
        [s[1] for s in spreads], places, xerr=_whiskers(spreads), fmt="o", markersize=4,
        color=colour, label=label, linewidth=1.2,
    )  # fmt: skip


def _bars(axes: Any, spreads: list[Any], places: list[float], colour: str, label: str) -> None:
    medians = [s[1] for s in spreads]
    axes.barh(
        places, [median - 1 for median in medians], left=1, height=0.18, color=colour,
        label=label, xerr=_whiskers(spreads), error_kw={"linewidth": 0.8, "ecolor": _INK},
    )  # fmt: skip


def _whiskers(spreads: list[Any]) -> list[list[float]]:
    return [[s[1] - s[0] for s in spreads], [s[2] - s[1] for s in spreads]]


def _legend(figure: Figure, axes: Any, columns: int) -> None:
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=columns)


def _save(figure: Figure, path: Path) -> None:
    figure.savefig(path, metadata={"Date": None}, facecolor="white")
    plt.close(figure)
