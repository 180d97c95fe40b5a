"""`artifact_of` gives the artifact that SOURCE stands for: the file itself, or one in the cache.

A plain ONNX file, or a model of torchvision or timm, is exported once, and verified as by
`graftcam export`. The runtime alone decides which of them SOURCE is: an artifact needs no PyTorch.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from click import option

from ..runtime.cache import Cache, Entry, key_of
from ..runtime.errors import CustodyError, InputError, SessionError
from ..runtime.plain_text import plain
from ..runtime.reading import file_sha256
from ..runtime.spec import METADATA_KEY, NEWEST_VERSION
from .common import Shape, Steps, need_exporter, note, shapes_by_input
from .completes import completes
from .guarded import TextOrFile
from .models import refuse_no_model, usage
from .sections import MODEL, under

ZOOS = ("torchvision", "timm")
FORMS = "an artifact, an ONNX file, torchvision:NAME or timm:NAME"
_PACKAGES = (
    "graftcam", "torch", "torchvision", "timm", "onnx", "onnx-ir", "onnxscript", "onnxruntime",
)  # fmt: skip
# What a method needs of an artifact, and the extra that adds it.
_EXTRAS = {
    "head": "head", "input_gradients": "input_gradients", "guided_gradients": "guided",
    "deconvnet_gradients": "guided", "fullgrad": "fullgrad",
}  # fmt: skip
# Files of which `graftcam export` can make an artifact, or says what else it needs.
OF_PYTORCH = (".pt", ".pth", ".pt2", ".ts", ".torchscript", ".bin", ".safetensors", ".ckpt")
_LOOKED_AT = 8  # images that are read before an export, which takes longer

model_source_options = under(
    MODEL,
    option("--weights", type=TextOrFile(), metavar="FILE|NAME",
           help="torchvision:NAME, timm:NAME: a state dict, or published weights by name, such as "
                "IMAGENET1K_V1. Default: those that the package recommends, fetched once."),
    option("--shape", "shapes", type=Shape(), multiple=True, callback=shapes_by_input,
           help="A model that is no artifact yet: shape of an input without the batch axis, where "
                "the model leaves it open; repeatable, as INPUT=N,N,... then."),
    option("--labels", type=TextOrFile(), metavar="FILE",
           help="A model that is no artifact yet: class names, as for `graftcam export`. Default: "
                "those of its weights."),
)  # fmt: skip
model_options = under(
    MODEL,
    model_source_options,
    option("--preprocess", metavar="WORDS", shell_complete=completes("preprocess"),
           help="Training transform, if the artifact stores none or a wrong one: imagenet, torch, "
                "tf, caffe, unit or raw, with crop, squash or letterbox, bgr, grey and a filter; "
                "words with commas, as for `graftcam export`."),
)  # fmt: skip


@dataclass(frozen=True)
class Wanted:
    """What is asked of a model that is no artifact yet.

    Attributes:
        weights: A file, or a name of published weights; None: the default.
        shapes: Shapes of inputs.
        labels: File of class names.
        layers: Target layers; empty: the automatic choice.
        output: The output to explain.
        methods: Ids of methods, which decide the extras.
        linear: Whether the score is an inner product with weights of the user.
        texts: Whether images are to be compared with texts.
        profile: The platform that will run it; see `export`.
    """

    weights: str | None = None
    shapes: Mapping[str, Sequence[int | None]] | None = None
    labels: str | None = None
    layers: Sequence[str] = ()
    output: str | None = None
    methods: Sequence[str] = ()
    linear: bool = False
    texts: bool = False
    profile: Literal["default", "web"] = "default"

    @property
    def extras(self) -> list[str]:
        """What the methods need beside activations and gradients, as extras of the export.

        Raises:
            InputError: There is no such method.
        """
        from ..runtime.methods.table import find_method

        needs = [need for method in self.methods for need in find_method(method).needs]
        return sorted({_EXTRAS[need] for need in needs if need in _EXTRAS})

    def described(self, source: str) -> str:
        """Return the model with what tells its artifacts apart, for people."""
        given: dict[str, Sequence[str | None]] = {
            "weights": [self.weights], "shape": [*map(_shape, (self.shapes or {}).items())],
            "labels": [self.labels], "layer": self.layers, "output": [self.output],
            "extra": self.extras, "score": ["linear" if self.linear else None],
            "profile": [None if self.profile == "default" else self.profile],
        }  # fmt: skip
        words = [f"--{name} {one}" for name, values in given.items() for one in values if one]
        return " ".join([source, *words])

    def refuse(self, name: str) -> None:
        """Raise InputError if an option is given that an artifact does not take."""
        given = [key for key in ("weights", "shapes", "labels") if getattr(self, key)]
        if given:
            words = ", ".join(f"--{key.removesuffix('s') if key == 'shapes' else key}"
                              for key in given)  # fmt: skip
            raise InputError(
                f"{name} is an artifact and has its own weights, shapes and labels; leave {words} "
                "out, or give the model that it was made of"
            )


def _shape(given: tuple[str, Sequence[int | None]]) -> str:
    """Return the shape of an input as the command line takes it."""
    name, extents = given
    text = ",".join("?" if extent is None else str(extent) for extent in extents)
    return f"{name}={text}" if name else text


def artifact_of(source: str, wanted: Wanted, images: Sequence[Path], max_pixels: int) -> Path:
    """Return the artifact of a model, which is exported if it is not in the cache.

    Args:
        source: One of `FORMS`.
        wanted: What is asked of it.
        images: What is to be explained; read before an export.
        max_pixels: Number of pixels that an image may have.

    Raises:
        GraftcamError: It is none of them, or cannot be exported; or an image cannot be read, or
            the cache written.
    """
    path = Path(source)
    if _is_named(source):
        stem = re.sub(r"[^\w.-]", "-", source.partition(":")[2])
    else:
        _check_is_model(path, source)
        if _is_artifact(path):
            wanted.refuse(path.name)
            return path
        if path.suffix in OF_PYTORCH:
            raise InputError(
                f"{source} is no artifact; give {FORMS}, or write an artifact of it with "
                f"`graftcam export {source} -o FILE.onnx`"
            )
        if path.suffix != ".onnx":
            raise InputError(f"{source} is no model; give {FORMS}{usage()}")
        stem = path.stem
    if wanted.texts:
        raise InputError(
            f"{source} is no artifact yet, and how it compares images with texts is to be said: "
            f"`graftcam export {source} --score similarity --scale 100 -o FILE.onnx`, then explain "
            "FILE.onnx"
        )
    cache, key = Cache(), key_of({**_source(source, path), **_settings(wanted)})
    found = cache.find(key)
    if found is not None:
        note(plain(f"{source}: from the cache, {found.path}"))
        return found.path
    cache.check()
    need_exporter(source, why=f"{source} is no artifact and must be exported")
    _look_at(images, max_pixels)
    return _exported(cache, key, source, stem, wanted).path


def _is_named(source: str) -> bool:
    """Whether it is a model of a package, by its name."""
    kind, _, name = source.partition(":")
    return kind in ZOOS and bool(name) and not Path(source).exists()


def _check_is_model(path: Path, source: str) -> None:
    """Raise InputError if there is no such file, or it is clearly no model."""
    refuse_no_model(source, FORMS)
    if path.exists():
        return
    if ":" in source:
        raise InputError(
            f"{source} is neither a file nor a model of {' or '.join(ZOOS)}; give {FORMS}, or "
            f"write an artifact with `graftcam export {source} -o FILE.onnx`"
        )
    raise InputError(f"{source}: no such file; give {FORMS}")


def _is_artifact(path: Path) -> bool:
    """Whether a file has graftcam's metadata, or is to be opened to learn what is wrong with it."""
    from ..runtime.custody.entries import read_entry

    try:
        return read_entry(path, METADATA_KEY) is not None
    except CustodyError:
        return path.suffix == ".onnx"


def _source(source: str, path: Path) -> dict[str, Any]:
    """Return what identifies a model: digests of its files, or its name."""
    from importlib import metadata

    from ..runtime.onnx_file.check import check_file

    tools = {one: version for one in _PACKAGES if (version := _version(metadata, one))}
    known: dict[str, Any] = {"spec": NEWEST_VERSION, "tools": tools}
    if not path.is_file():
        return {**known, "name": source}
    beside = check_file(path, SessionError)
    parts = {part: file_sha256(path.parent / part) for part in sorted(beside)}
    return {**known, "name": path.name, "file": file_sha256(path), "beside": parts}


def _version(metadata: Any, package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _settings(wanted: Wanted) -> dict[str, Any]:
    """Return the settings of the export, in types of JSON; of files their digests."""
    files = {
        name: file_sha256(Path(value))
        for name in ("weights", "labels")
        if (value := getattr(wanted, name)) and Path(value).is_file()
    }
    platform = {} if wanted.profile == "default" else {"profile": wanted.profile}
    return {
        "weights": wanted.weights, "shapes": wanted.shapes, "labels": wanted.labels,
        "layers": list(wanted.layers), "output": wanted.output, "extras": wanted.extras,
        "linear": wanted.linear, **files, **platform,
    }  # fmt: skip


def _look_at(images: Sequence[Path], max_pixels: int) -> None:
    """Raise ImageError if one of the first images cannot be read."""
    from ..runtime.inputs.image_files import read_image
    from ..runtime.inputs.image_names import SUFFIXES

    for path in images[:_LOOKED_AT]:
        if not path.exists() or (path.is_file() and path.name.lower().endswith(SUFFIXES)):
            read_image(path, max_pixels=max_pixels)


def _exported(cache: Cache, key: str, source: str, stem: str, wanted: Wanted) -> Entry:
    """Export a model into the cache, and say what was made."""
    from ..exporter import Report, Score, UnprovenError, export
    from ..exporter.source.labels import labels_of_files
    from ..exporter.source.named import load_source
    from ..exporter.source.zoo_models import DEFAULT

    weights = wanted.weights or (DEFAULT if _is_named(source) else None)
    loaded = load_source(source, weights, wanted.shapes)
    score = Score("linear" if wanted.linear else "logit", output=wanted.output)
    labels = labels_of_files([wanted.labels], [None]) if wanted.labels else loaded.labels
    reports: list[Report] = []

    def make(progress: Steps, folder: Path) -> Path:
        path = folder / f"{stem}.onnx"
        report = export(
            loaded.model, path, loaded.inputs, layers=list(wanted.layers) or None, score=score,
            labels=labels, preprocess=loaded.preprocess, extras=wanted.extras, name=loaded.name,
            shapes=loaded.shapes, profile=wanted.profile, progress=progress,
        )  # fmt: skip
        reports.append(report)
        return path

    try:
        with Steps() as steps:
            entry = cache.add(key, wanted.described(source), partial(make, steps))
    except UnprovenError as error:
        raise UnprovenError(
            f"{error}; these are options of `graftcam export {source} -o FILE.onnx`, whose file "
            "explain takes"
        ) from error
    for report in reports:
        layers = ", ".join(report.layers)
        note(plain(f"exported {source} (layer {layers}, verified) -> {entry.path}"))
        for one in [*report.notes, *loaded.notes]:
            note(plain(f"note: {one}"))
    return entry
