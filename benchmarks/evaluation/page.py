"""`with_parts` writes the tables of docs/evaluation.md from the figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from graftcam.runtime.tools.evaluate.candidates import ROWS
from graftcam.runtime.tools.evaluate.measure import MEASURES

from ..script import shown, table

_NOT_BEATEN = "¹"
_NONE = {"mean": None}


def with_parts(page: str, stored: Mapping[str, Any]) -> str:
    """Return the page with the text between the marks of each part replaced."""
    makers: dict[str, Callable[[Any], list[str]]] = {
        "digits": _digits, "shapes": _shapes, "photographs": _photographs, "agreement": _agreement,
        "cost": _cost,
    }  # fmt: skip
    for part, make in makers.items():
        if part in stored:
            page = _between(page, part, make(stored[part]))
    return _between(page, "measures", measures_table())


def measures_table() -> list[str]:
    """Return a row for each measure."""
    rows = [
        [f"`{name}`", one.better, one.what, one.source, one.needs or ""]
        for name, one in MEASURES.items()
    ]
    return table(["measure", "better", "what it measures", "source", "needs"], rows)


def _between(page: str, part: str, lines: Sequence[str]) -> str:
    begin, end = f"<!-- {part} -->\n", f"<!-- end of {part} -->"
    head, rest = page.split(begin, 1)
    return head + begin + "\n" + "\n".join(lines) + "\n\n" + end + rest.split(end, 1)[1]


def _cell(one: Mapping[str, Any]) -> str:
    if one["mean"] is None:
        return ""
    return f"{one['mean']:.3f}{_NOT_BEATEN if one['below'] else ''}"


def _named(name: str) -> str:
    return f"*{name}*" if name in ROWS else f"`{name}`"


def _by_method(scores: Mapping[str, Mapping[str, Any]]) -> list[str]:
    first = next(iter(scores.values()))
    names = [name for name in first if name not in ROWS] + [n for n in first if n in ROWS]
    rows = [
        [
            f"`{name}`" if name not in ROWS else f"*{name}*",
            *(_cell(s[name]) for s in scores.values()),
        ]
        for name in names
    ]
    heads = [f"{m} ({'↑' if MEASURES[m].sign > 0 else '↓'})" for m in scores]
    return table(["method", *heads], rows)


def _digits(found: Mapping[str, Any]) -> list[str]:
    count = found["photographs"]
    return [f"{count} canvases, each digit on its own.", "", *_by_method(found["scores"])]


def _shapes(found: Sequence[Mapping[str, Any]]) -> list[str]:
    """Mass in the shape, by scenario; the networks' accuracy below."""
    heads = [f"{one['scenario']}, {one['noise']}" for one in found]
    every = dict.fromkeys(name for one in found for name in one["scores"]["weighting"])
    names = [name for name in every if name not in ROWS] + [n for n in every if n in ROWS]
    rows = [
        [_named(name), *(_cell(one["scores"]["weighting"].get(name, _NONE)) for one in found)]
        for name in names
    ]  # fmt: skip
    rows.append(["the network is right on", *(f"{one['accuracy']:.1%}" for one in found)])
    rows.append(["images", *(str(one["photographs"]) for one in found)])
    return table(["method", *heads], rows)


def _photographs(found: Mapping[str, Any]) -> list[str]:
    standings = found["standings"]
    scores = {
        measure: {one["method"]: one for one in several} for measure, several in standings.items()
    }
    return [*_by_method(scores), "", "`--pick` says:", "", "```text", str(found["pick"]), "```"]


def _cost(found: Sequence[Mapping[str, Any]]) -> list[str]:
    """Times for one photograph; peers draw no rows that know nothing, so also per curve."""
    peers = ("Quantus", "pytorch-grad-cam")
    rows = [
        [one["model"], shown(one["seconds"]["graftcam"], 1),
         *(shown(one["ratios"][peer], 2) for peer in peers),
         *(f"{one['ratios'][peer][1] * (1 + len(ROWS) / one['methods']):.1f}" for peer in peers),
         f"{one['share_of_runs']:.0%}"]
        for one in found
    ]  # fmt: skip
    heads = [f"{peer} / graftcam" for peer in peers]
    return table(["model", "graftcam, s", *heads, *(f"{one}, per curve" for one in heads),
                  "share of ONNX Runtime's runs"], rows)  # fmt: skip


def _agreement(found: Sequence[Mapping[str, Any]]) -> list[str]:
    rows = [
        [one["measure"], " ".join((one["package"], one["version"])), f"{one['difference']:.1e}",
         one["why"]]
        for one in found
    ]  # fmt: skip
    return table(["measure", "package", "largest difference", "note"], rows)
