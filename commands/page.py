"""`graftcam page` writes a page that explains images in the browser, as static files."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import click
from click import option

from ..runtime.errors import InputError
from ..runtime.limits import MAX_PIXELS
from ..runtime.plain_text import plain
from .artifact import FORMS, Wanted, artifact_of, model_source_options
from .common import command
from .guarded import TextOrFile
from .models import refuse_no_model
from .options import FILE, json_option, to_option
from .terminal import note, tell


@command(
    "graftcam page resnet50.onnx -o site",
    "graftcam page resnet50.onnx yolo.onnx -o site --images examples/",
    "graftcam page torchvision:mobilenet_v3_small -o site --fetch",
    "python -m http.server --directory site",
)
@click.argument("models", nargs=-1, required=True, type=TextOrFile(), metavar="MODEL...")
@to_option("folder", "DIR", "Folder for the page; new or empty.", folder=True)
@model_source_options
@option("--images", multiple=True, type=FILE, metavar="FILE|DIR",
        help="Example images to offer: files, or the images of a folder; repeatable.")  # fmt: skip
@option("--ort", type=FILE, metavar="DIR",
        help="Folder of the package onnxruntime-web. Default: node_modules/onnxruntime-web in this "
             "folder or one above.")  # fmt: skip
@option("--fetch", is_flag=True,
        help="Fetch onnxruntime-web by npm, without installing it.")  # fmt: skip
@json_option
def page(
    models: tuple[str, ...], folder: Path, weights: str | None,
    shapes: dict[str, list[int | None]], labels: str | None, images: tuple[Path, ...],
    ort: Path | None, fetch: bool, as_json: bool,
) -> None:  # fmt: skip
    """Write a page that explains images with MODEL in the browser, as static files.

    Any web server can serve DIR; no server computes anything, and no image leaves the reader's
    browser. MODEL is an artifact that was exported with --profile web; or an ONNX file,
    torchvision:NAME or timm:NAME, of which one is made.

    The page runs the model by onnxruntime-web, whose files are copied into DIR.
    """
    from ..runtime.page.ort_files import fetched, installed
    from ..runtime.page.static_site import PROFILE, check_folder, write_site

    check_folder(folder)
    if ort is not None and fetch:
        raise click.UsageError("--fetch fetches what --ort names; leave one out")
    for model in models:  # before onnxruntime-web is looked for, or fetched
        refuse_no_model(model, FORMS)
    shown = {one: one.stem.replace("_", " ") for one in _files_of(images)}
    with ExitStack() as stack:
        engine = ort or (stack.enter_context(fetched()) if fetch else installed(Path.cwd()))
        wanted = Wanted(weights, shapes or None, labels, profile=PROFILE)
        artifacts = [artifact_of(model, wanted, (), MAX_PIXELS) for model in models]
        written = write_site(_named(artifacts), folder, engine, shown)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    names = [*_named(artifacts)]
    record = {"page": written, "models": names, "bytes": size}
    tell(
        record,
        plain(f"{written}: {', '.join(names)}, {size / 1e6:.0f} MB in all"),
        as_json=as_json,
    )
    note(plain(f"see it: python -m http.server --directory {folder}, then http://localhost:8000"))


def _named(artifacts: list[Path]) -> dict[str, Path]:
    """Return artifacts by the names that the page shows."""
    from ..runtime.inputs.names import Names

    names = Names()
    return {names.distinct(path.stem): path for path in artifacts}


def _files_of(given: tuple[Path, ...]) -> list[Path]:
    """Return image files, and those that are in folders.

    Raises:
        InputError: There is no such file, or a folder has no images.
    """
    from ..runtime.inputs.image_names import SUFFIXES

    found: list[Path] = []
    for path in given:
        if not path.exists():
            raise InputError(f"{path}: no such file; give --images files or a folder")
        inside = sorted(path.iterdir()) if path.is_dir() else [path]
        files = [one for one in inside if not path.is_dir() or one.name.lower().endswith(SUFFIXES)]
        if not files:
            raise InputError(f"{path} has no images; give --images files or a folder with some")
        found += files
    return list(dict.fromkeys(found))
