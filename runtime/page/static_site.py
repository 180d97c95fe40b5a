"""`write_site` writes a page that explains in the browser, as static files for any web server.

FOLDER/index.html            the page
FOLDER/page.json             models, names of methods, example images
FOLDER/page/                 its modules and styles
FOLDER/ort/                  ONNX Runtime for browsers
FOLDER/models/NAME.onnx      the artifacts
FOLDER/images/               example images
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from .. import inputs
from ..custody.entries import read_spec
from ..errors import PackageError, system_errors
from ..inputs.image_sizes import image_size
from ..inputs.names import Names
from ..json_text import write_json
from ..methods.titles import TITLES
from ..onnx_file.check import check_file
from ..reading import read_file
from ..spec import Spec
from ..writing import staged
from . import FILES, INDEX
from .ort_files import ort_files

PROFILE = "web"
"""The profile that is made for browsers."""

_FED = ("web", "webgpu", "openvino")  # profiles whose inputs have no defaults
_MOST = 2**31 - 1  # bytes of a file that a browser can hold
_HEAD = 1 << 26  # bytes of an example image
# What the static page may do beside loading its own files: compile ONNX Runtime, and show images.
_POLICY = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval' blob:; worker-src 'self' blob:"


def write_site(
    models: Mapping[str, Path], folder: Path, ort: Path, images: Mapping[Path, str] | None = None
) -> Path:
    """Write the page, complete or not at all, and return its ``index.html``.

    Args:
        models: The artifacts by the names that the page shows.
        folder: A folder that is missing or empty.
        ort: The package onnxruntime-web, or its folder ``dist``.
        images: Example images, each with words for who cannot see it.

    Raises:
        PackageError: The folder has files, a browser cannot use an artifact, a file of ONNX Runtime
            is missing, or something cannot be read or written.
        SpecError: A file is not an artifact.
    """
    check_folder(folder)
    engine = ort_files(ort)
    for name, path in models.items():
        check_usable(path, read_spec(path), name)
    with (
        staged(folder, PackageError) as place,
        system_errors(PackageError, f"cannot write {folder}"),
    ):
        shutil.copytree(FILES, place / "page", ignore=shutil.ignore_patterns(INDEX))
        for resizer in sorted(Path(inputs.__file__).parent.glob("resize_*.onnx")):
            shutil.copy(resizer, place / "page")
        _copy(engine, place / "ort")
        names = Names()
        stored = {name: f"{names.distinct(path.stem)}.onnx" for name, path in models.items()}
        _copy([(path, stored[name]) for name, path in models.items()], place / "models")
        shown = _copy_images(images or {}, place / "images")
        listed = {
            "models": [{"name": name, "file": file} for name, file in stored.items()],
            "methods": TITLES,
            "images": shown,
        }
        (place / "page.json").write_text(write_json(listed, indent=1), "utf-8")
        (place / INDEX).write_text(_index(), "utf-8")
    return folder / INDEX


def check_folder(folder: Path) -> None:
    """Refuse a folder that has files.

    Raises:
        PackageError: It has.
    """
    with system_errors(PackageError, f"cannot read {folder}"):
        if folder.is_dir() and any(folder.iterdir()):
            raise PackageError(f"{folder} has files; give a new folder, or remove what is in it")


def check_usable(path: Path, spec: Spec, name: str) -> None:
    """Refuse an artifact that the page cannot use.

    Args:
        path: Its file.
        spec: Its metadata.
        name: What the message calls it.

    Raises:
        PackageError: The page cannot use it; the message has the reason.
    """
    again = "export it again with --profile web"
    transform = spec.preprocess
    if spec.profile not in _FED:
        raise PackageError(
            f"{name} has the profile {spec.profile or 'default'}, whose inputs have defaults, and "
            f"JavaScript cannot feed such inputs; {again}"
        )
    if spec.class_index is None:
        raise PackageError(
            f"{name} is explained by {spec.score_weights}, which the page cannot ask for; export "
            "it with class scores"
        )
    if transform is None:
        raise PackageError(
            f"{name} stores no preprocessing, so that a browser cannot prepare images; {again} and "
            "--preprocess imagenet, or what it was trained with"
        )
    if all(len(layer.grid) != 2 for layer in spec.layers):
        raise PackageError(f"the maps of {name} have no rows and columns, so that the page cannot "
                           "draw them; choose another --layer")  # fmt: skip
    if beside := check_file(path, PackageError):
        raise PackageError(
            f"{name} keeps weights in {', '.join(beside)}, and a browser opens one file; {again}"
        )
    if path.stat().st_size > _MOST:
        raise PackageError(
            f"{name} has more than 2 GB, which no browser holds; `graftcam shrink` it"
        )


def _index() -> str:
    """Return the HTML of the static page."""
    text = (FILES / INDEX).read_text("utf-8")
    policy = f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
    text = text.replace('<meta charset="utf-8">', f'<meta charset="utf-8">\n    {policy}')
    return text.replace("page/remote.js", "page/local.js")


def _copy(files: Sequence[tuple[Path, str]], folder: Path) -> None:
    folder.mkdir()
    for path, name in files:
        shutil.copyfile(path, folder / name)


def _copy_images(images: Mapping[Path, str], folder: Path) -> list[dict[str, str]]:
    """Copy images under names that differ, and list them with their words."""
    names = Names()
    for path in images:
        if image_size(read_file(path, PackageError, _HEAD)) is None:
            raise PackageError(
                f"{path} is no image that browsers show; give JPEG, PNG or WebP files"
            )
    copies = [(path, f"{names.distinct(path.stem)}{path.suffix}") for path in images]
    _copy(copies, folder)
    return [{"file": name, "words": images[path]} for path, name in copies]
