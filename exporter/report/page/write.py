"""`write_report` writes ``index.html`` for people and ``report.json`` for machines."""

from __future__ import annotations

import contextlib
import importlib.util
import shutil
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import Any

from ....runtime.json_text import write_json
from ....runtime.plain_text import plain
from ...errors import WriteError
from ...verify.verdict.findings import Verdict
from ...verify.verdict.report import to_dict
from ..report import Report
from .content import content
from .detections import BoxGallery
from .overlays import Gallery


@contextlib.contextmanager
def staged_folder(folder: str | Path | None) -> Generator[Path | None]:
    """Yield a temporary folder whose files move to ``folder`` at the end; None for None.

    They move even after an error: the page then shows why the export failed.

    Raises:
        WriteError: The folder cannot be created or written, or Jinja2 is missing.
    """
    if folder is None:
        yield None
        return
    if importlib.util.find_spec("jinja2") is None:
        raise WriteError('Jinja2 is missing; a report needs: pip install "graftcam[export]"')
    folder = Path(folder)
    made = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        place = Path(tempfile.mkdtemp(prefix=".report.", dir=folder))
    except OSError as error:
        raise WriteError(
            f"cannot write the report to {folder}: {error.strerror}; choose another folder"
        ) from error
    try:
        yield place
    finally:
        _move(place, folder)
        if made:
            with contextlib.suppress(OSError):
                folder.rmdir()  # only if it is empty


def _move(place: Path, folder: Path) -> None:
    try:
        for part in place.iterdir():
            part.replace(folder / part.name)
    except OSError as error:
        raise WriteError(f"cannot write the report to {folder}: {error.strerror}") from error
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _plain(value: Any) -> Any:
    """Return a value of the page; names and messages in it turn no writing around."""
    return plain(value) if isinstance(value, str) else value


def write_report(
    place: Path, artifact: Path, report: Report, shown: Gallery | BoxGallery | None
) -> None:
    """Write ``index.html`` and ``report.json``.

    Args:
        place: An empty folder.
        artifact: The file, at its temporary path.
        report: The report of its export.
        shown: The explained images, if any were given.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_plain,
    )
    data = to_dict(artifact, report.spec, None, report.verdict or Verdict([]))
    if report.verdict is None:
        data["verdict"] = "skipped"
    data["export"] = report.to_dict()
    del data["export"]["verdict"]
    facts = content(report, shown, data["artifact"]["bytes"], data["artifact"]["sha256"])
    # Both texts are made before the first file is written: the folder has both files or none.
    html = environment.get_template("page.html").render(facts)
    text = write_json(data, indent=2, allow_nan=False)
    (place / "index.html").write_text(html, encoding="utf-8")
    (place / "report.json").write_text(f"{text}\n", encoding="utf-8")
