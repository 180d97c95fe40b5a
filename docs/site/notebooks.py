"""This module runs the notebooks as the site is built, and gives them as pages with pictures."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

_SECONDS = 120  # for one cell


def page_of_notebook(path: Path) -> tuple[str, dict[str, bytes]]:
    """Run a notebook in an empty folder.

    Returns:
        The page in Markdown, and its pictures by their paths relative to the page.

    Raises:
        nbclient.exceptions.CellExecutionError: A cell failed; so the build fails.
    """
    import nbformat
    from nbclient import NotebookClient
    from nbconvert import MarkdownExporter

    notebook: Any = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory(prefix="graftcam-") as folder:
        where = {"metadata": {"path": folder}}
        client = NotebookClient(
            notebook, timeout=_SECONDS, kernel_name="python3", resources=where,
            extra_arguments=["--IPKernelApp.log_level=40"],  # errors only
        )  # fmt: skip
        client.execute()
    names = {"output_files_dir": path.stem, "unique_key": path.stem}
    body, resources = MarkdownExporter().from_notebook_node(notebook, resources=names)
    link = f"[Download this notebook]({path.name}). Its output was computed as this page was made."
    title, _, rest = body.lstrip().partition("\n")
    return f"{title}\n\n{link}\n{rest}", dict(resources.get("outputs") or {})
