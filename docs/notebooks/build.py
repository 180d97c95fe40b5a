"""``python -m docs.notebooks.build FOLDER`` runs the notebooks, and writes Markdown with pictures.

It needs no Jupyter. The notebooks themselves stay without outputs.
"""

from __future__ import annotations

import ast
import contextlib
import io
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BOOKS = sorted(Path(__file__).parent.glob("*.ipynb"))


@dataclass(frozen=True)
class Cell:
    """A cell of a notebook, after it was run.

    Attributes:
        code: Whether it is code; else Markdown.
        text: Its source.
        printed: What it printed.
        value: The value of its last line, which a notebook shows; None if there is none.
    """

    code: bool
    text: str
    printed: str = ""
    value: Any = None


def run(book: Path) -> Iterator[Cell]:
    """Run a notebook's cells in order, as a notebook does, and yield each."""
    names: dict[str, Any] = {"__name__": "__main__"}
    for number, cell in enumerate(json.loads(book.read_text("utf-8"))["cells"]):
        text = "".join(cell["source"])
        if cell["cell_type"] != "code":
            yield Cell(False, text)
            continue
        tree, value, printed = ast.parse(text), None, io.StringIO()
        last = tree.body[-1]
        if isinstance(last, ast.Expr):
            tree.body.pop()
        with contextlib.redirect_stdout(printed):
            exec(compile(tree, f"{book.name}[{number}]", "exec"), names)
            if isinstance(last, ast.Expr):
                value = eval(compile(ast.Expression(last.value), book.name, "eval"), names)
        yield Cell(True, text, printed.getvalue(), value)


def build(folder: Path) -> list[Path]:
    """Write each notebook as ``NAME.md``, with its pictures ``NAME-1.png`` and so on.

    Args:
        folder: Where the pages go; relative links suit a folder beside the documents.

    Returns:
        The pages.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pages: list[Path] = []
    for book in BOOKS:
        parts: list[str] = []
        pictures = 0
        for cell in run(book):
            if not cell.code:
                parts.append(cell.text.replace(".ipynb)", ".md)"))
                continue
            parts.append(f"```python\n{cell.text}\n```")
            if cell.printed:
                parts.append(f"```text\n{cell.printed.rstrip()}\n```")
            if hasattr(cell.value, "_repr_png_"):
                pictures += 1
                picture = folder / f"{book.stem}-{pictures}.png"
                picture.write_bytes(cell.value._repr_png_())
                parts.append(f"![What the cell above shows]({picture.name})")
        pages.append(folder / f"{book.stem}.md")
        pages[-1].write_text("\n\n".join(parts) + "\n", "utf-8")
    return pages


def main() -> None:
    """Build into the folder that the command line names."""
    if len(sys.argv) != 2:
        sys.exit("usage: python -m docs.notebooks.build FOLDER")
    for page in build(Path(sys.argv[1])):
        print(page)


if __name__ == "__main__":
    main()
