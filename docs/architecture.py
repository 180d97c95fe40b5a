"""Read the imports of `exporter` and `runtime`, and draw their rooms.

    python -m docs.architecture    # writes docs/images/architecture.svg (needs matplotlib)

The tests use the same reading to prove that no import goes upward (tests/test_architecture.py).
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from graphlib import CycleError, TopologicalSorter
from importlib.util import resolve_name
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ROOT = Path(__file__).resolve().parent.parent
# Rooms in the order of the data's way; each imports only from those before it.
ORDER = {
    "exporter": (
        "errors", "memory", "clock", "graph", "source", "locate", "capture", "differentiate",
        "score", "heatmap", "artifact", "verify", "report", "arguments", "places", "pipeline",
        "release", "shrink", "__init__",
    ),
    "runtime": (
        "version", "exit_codes", "limits", "plain_text", "json_text", "errors", "bounds",
        "strict_json", "reading", "checks", "records", "settings", "spec", "drafts", "writing",
        "cache", "inorder", "onnx_file", "custody", "session", "inputs", "boxes", "methods",
        "output", "explain", "visualize", "explainer", "page", "tools", "__init__",
    ),
}  # fmt: skip
TITLES = {
    "exporter": "a model in, an artifact out",
    "runtime": "an artifact and images in, explanations out",
}
# Arrows to one room have one colour.
COLOURS = ("#e07b39", "#0b6e99", "#6b8f3c", "#8a5aa8", "#b03a48", "#777777")


@dataclass(frozen=True, order=True)
class Import:
    """One import: both modules as paths from the root without suffix, such as ``runtime/cache``."""

    importer: str
    imported: str

    @property
    def rooms(self) -> tuple[str, str]:
        """The rooms of both."""
        return room_of(self.importer), room_of(self.imported)


def room_of(module: str) -> str:
    """The room that a module lies in: ``exporter/graph`` of ``exporter/graph/emitter``."""
    return "/".join(module.split("/")[:2])


def modules(half: str) -> list[str]:
    """All modules of a half, as paths from the root without suffix."""
    return sorted(
        path.relative_to(ROOT).with_suffix("").as_posix() for path in (ROOT / half).rglob("*.py")
    )


@cache
def _statements(half: str, at_once: bool) -> list[tuple[str, ast.Import | ast.ImportFrom]]:
    """The import statements in a half by module.

    Args:
        half: The half.
        at_once: Only those that run when their module is imported: none in functions, and none for
            type checkers.
    """
    walk = _at_once if at_once else ast.walk
    return [
        (module, node)
        for module in modules(half)
        for node in walk(ast.parse((ROOT / f"{module}.py").read_text(encoding="utf-8")))
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]


def _at_once(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what runs when a module is imported."""
    yield node
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
        return
    if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        return
    for child in ast.iter_child_nodes(node):
        yield from _at_once(child)


def imports(half: str, *, at_once: bool = False) -> list[Import]:
    """Every import of the project's own modules in a half; see `_statements`."""
    found = {
        Import(module, target)
        for module, node in _statements(half, at_once)
        if isinstance(node, ast.ImportFrom)
        for target in _targets(module, node)
    }
    return sorted(one for one in found if one.importer != one.imported)


def foreign(half: str, *, at_once: bool = False) -> dict[str, set[str]]:
    """The packages of other projects that each module imports, by their first names."""
    found: dict[str, set[str]] = {module: set() for module in modules(half)}
    for module, node in _statements(half, at_once):
        if isinstance(node, ast.Import):
            found[module] |= {alias.name.split(".")[0] for alias in node.names}
        elif node.module and not node.level:
            found[module].add(node.module.split(".")[0])
    return found


def _targets(module: str, node: ast.ImportFrom) -> Iterator[str]:
    """The project's modules that a ``from ... import ...`` names."""
    package = ".".join(["graftcam", *module.split("/")[:-1]])
    first, *folders = resolve_name("." * node.level + (node.module or ""), package).split(".")
    for alias in node.names if first == "graftcam" else ():
        paths = ["/".join([*folders, alias.name]), "/".join(folders)]
        candidates = [file for path in paths for file in (path, f"{path}/__init__".lstrip("/"))]
        yield from [file for file in candidates if (ROOT / f"{file}.py").is_file()][:1]


def upward(half: str) -> list[Import]:
    """The imports that go from a room to one after it."""
    places = {f"{half}/{name}": place for place, name in enumerate(ORDER[half])}
    return [
        one
        for one in imports(half)
        if one.imported.startswith(f"{half}/") and places[one.rooms[1]] > places[one.rooms[0]]
    ]


def circle(half: str) -> list[str]:
    """Modules that import each other in a circle; empty if none do."""
    graph: dict[str, set[str]] = {module: set() for module in modules(half)}
    for one in imports(half):
        graph[one.importer].add(one.imported)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def purpose(room: str) -> str:
    """The first sentence of a room's docstring."""
    path = ROOT / room / "__init__.py"
    tree = ast.parse((path if path.is_file() else ROOT / f"{room}.py").read_text(encoding="utf-8"))
    return (ast.get_docstring(tree) or "").split("\n\n")[0].replace("\n", " ").partition(". ")[0]


def pairs(half: str) -> list[tuple[str, str]]:
    """The rooms of a half that import each other: importer and imported, by name."""
    found = {one.rooms for one in imports(half) if one.imported.startswith(f"{half}/")}
    names = [tuple(room.split("/")[1] for room in rooms) for rooms in sorted(found)]
    return [(a, b) for a, b in names if a != b and "__init__" not in (a, b)]


def digest() -> str:
    """What the drawing shows, as a hash: tests compare it with the one in the file."""
    shown = [(half, names, [purpose(f"{half}/{name}") for name in names], pairs(half))
             for half, names in ORDER.items()]  # fmt: skip
    return hashlib.sha256(repr(shown).encode()).hexdigest()


def draw(path: Path) -> None:
    """Draw both halves side by side: rooms from top to bottom, an arc for each pair that imports.

    The file's bytes depend on the code alone.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams.update({"svg.hashsalt": "graftcam", "svg.fonttype": "path", "font.size": 9})
    import matplotlib.pyplot as plt

    rooms = {half: [name for name in names if name != "__init__"] for half, names in ORDER.items()}
    figure, panels = plt.subplots(1, 2, figsize=(15, 10))
    for axes, (half, names) in zip(panels, rooms.items(), strict=True):
        _draw_half(axes, half, names, max(map(len, rooms.values())))
    figure.tight_layout()
    figure.savefig(
        path, metadata={"Date": None, "Creator": "docs/architecture.py", "Description": digest()}
    )
    plt.close(figure)


def _draw_half(axes: Axes, half: str, rooms: list[str], rows: int) -> None:
    from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

    axes.set(xlim=(-0.36, 1.03), ylim=(rows - 0.3, -0.9))
    axes.axis("off")
    axes.text(0, -0.6, f"{half}: {TITLES[half]}", fontsize=12, weight="bold")
    for place, name in enumerate(rooms):
        room, is_folder = f"{half}/{name}", (ROOT / half / name).is_dir()
        axes.add_patch(FancyBboxPatch(
            (0, place - 0.33), 1, 0.66, boxstyle="round,pad=0.01", linewidth=0.8,
            facecolor="#e3f0f6" if is_folder else "#f4f4f4", edgecolor="#0b6e99",
        ))  # fmt: skip
        label = f"{name}/" if is_folder else f"{name}.py"
        axes.text(0.02, place - 0.11, label, weight="bold", va="center")
        sentence = shorten(purpose(room), 84, placeholder=" ...")
        axes.text(0.02, place + 0.16, sentence, va="center", color="#333333", fontsize=8)
    for start, end in pairs(half):
        first, last = rooms.index(start), rooms.index(end)
        axes.add_patch(FancyArrowPatch(
            (-0.01, first - 0.1), (-0.01, last + 0.12), arrowstyle="-|>", mutation_scale=7,
            connectionstyle=f"arc3,rad={-0.22 - 0.25 / (first - last)}", alpha=0.8,
            color=COLOURS[last % len(COLOURS)], linewidth=1.0,
        ))  # fmt: skip


if __name__ == "__main__":
    destination = ROOT / "docs" / "images" / "architecture.svg"
    draw(destination)
    print(f"wrote {destination.relative_to(ROOT)}")
