"""What the layouts of all servers have in common: FOLDER/NAME/1 with the artifact, and labels."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from ...errors import PackageError
from ...onnx_file.check import check_file
from ...plain_text import plain
from ...writing import guard

LABELS = "labels.txt"


def target_of(artifact: Path, folder: Path, name: str | None) -> Path:
    """The folder that the model becomes.

    Raises:
        PackageError: The name is none of a folder, or there is a model of this name.
    """
    name = artifact.stem if name is None else name
    is_name = name not in ("", ".", "..") and not {*"/\\"}.intersection(name)
    if not is_name or not name.isprintable():
        raise PackageError(
            f"the model cannot be called {name!r}: the name becomes a folder in {folder}; give "
            "--name a plain name"
        )
    target = folder / name
    if target.exists():
        raise PackageError(f"{target} exists; remove it, or give the model another --name")
    guard(target, [artifact], PackageError, folder=True)
    return target


def write_labels(draft: Path, labels: Sequence[str] | None) -> None:
    """Write the class names, one on a line, if there are any."""
    if labels is not None:
        (draft / LABELS).write_text("".join(f"{plain(label)}\n" for label in labels), "utf-8")


def copy_artifact(artifact: Path, version: Path, *, in_folder: bool) -> None:
    """Copy the artifact and the weights that it names into the folder of a version.

    Args:
        artifact: The file.
        version: The folder, which is made.
        in_folder: Whether a graph with weights beside it goes into a folder ``model.onnx``.

    Raises:
        PackageError: Its weights have the name of the graph.
    """
    version.mkdir()
    model, beside = version / "model.onnx", check_file(artifact, PackageError)
    if model.name in (Path(location).as_posix() for location in beside):
        raise PackageError(
            f"{artifact.name} keeps weights in {model.name}, as the server calls the graph; give "
            "them another name"
        )
    place = model if beside and in_folder else version
    place.mkdir(exist_ok=True)
    for location in beside:
        copy = place / location
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(artifact.parent / location, copy)
    shutil.copyfile(artifact, place / model.name)
