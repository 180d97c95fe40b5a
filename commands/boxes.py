"""`graftcam explain` on a detector explains its boxes: options, pictures and lines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click import option
from click.core import ParameterSource

from ..runtime.errors import InputError, RenderError
from ..runtime.writing import guard
from .common import Numbers, meter, note, progress_bar, say
from .drawing import Drawing
from .opening import open_written
from .sections import Section, under

if TYPE_CHECKING:
    from ..runtime import Explainer, Request

_MANY = 8  # with this many images, the progress counts images instead of runs
_OF_BOXES = ("box_index", "conf", "iou", "why", "limit", "near_miss")
_OF_CLASSES = ("top", "region", "score_weights", "augment", "fuse", "over", "tokens")


BOXES = Section(
    "Boxes and regions",
    "Of a detector each box that it finds is explained: a line for each is printed, and one "
    "picture shows the numbered boxes, a map for each, and the maximum of each class's maps.",
)


class BoxParameter(Numbers):
    """The number of a detector's box, or the corners of a box for a segmentation."""

    name = "N|X0,Y0,X1,Y1"

    def __init__(self) -> None:
        super().__init__(int)

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """Return one or four numbers, or fail as a usage error."""
        numbers = super().convert(value, param, ctx)
        if len(numbers) not in (1, 4):
            self.fail(f"{value!r} has {len(numbers)} numbers, not 4", param, ctx)
        return numbers


box_options = under(
    BOXES,
    option("--box", "boxes", type=BoxParameter(), multiple=True, metavar="N|X0,Y0,X1,Y1",
           help="The number of a box to explain, as printed; repeatable. Of a segmentation: "
                "explain the class inside this box, in the image's pixels; with --region, in the "
                "part of the region inside the box."),
    option("--box-index", type=int, multiple=True, metavar="N",
           help="Instead: a box by its number in the model's own tables (anchor, query "
                "or slot), or by rank from -1 downwards; repeatable."),
    option("--conf", type=float, metavar="P",
           help="The smallest probability of a box. Default: 0.25."),
    option("--iou", type=float, metavar="P",
           help="Boxes of one class that overlap more than this count as one. Default: "
                "0.45."),
    option("--why", multiple=True, metavar="class|left|top|right|bottom|edges",
           help="What is explained of a box: its class, or where its edges are; "
                "repeatable. Default: class."),
    option("--limit", type=click.IntRange(1), metavar="N",
           help="The largest number of boxes that are explained. Default: 16."),
    option("--near-miss", is_flag=True,
           help="If there is no box, explain the best candidate."),
)  # fmt: skip


def refuse_options(explainer: Explainer) -> None:
    """Raise InputError if an option is given that this kind of model does not take.

    Args:
        explainer: The artifact, of a detector or of another model.
    """
    of_boxes = explainer.spec.detector is not None
    context = click.get_current_context()
    names = _OF_CLASSES if of_boxes else _OF_BOXES
    given = [
        f"--{name.replace('_', '-')}"
        for name in names
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE
    ]
    boxes: Sequence[Sequence[int]] = context.params.get("boxes") or ()
    wrong = [one for one in boxes if len(one) != (1 if of_boxes else 4)]
    if wrong:
        given.append(f"--box {','.join(map(str, wrong[0]))}")
    if given and of_boxes:
        raise InputError(
            f"{explainer.path.name} is a detector and takes no {', '.join(given)}; choose its "
            "boxes by --box N, --class, --conf and --limit"
        )
    if given:
        raise InputError(
            f"{explainer.path.name} is no detector and takes no {', '.join(given)}; choose its "
            "classes by --class and --top"
        )
    if not of_boxes and len(boxes) > 1:
        raise InputError("--box is given twice; several boxes are of detectors only")


def request_of_boxes(request: Request) -> Request:
    """Return a request to a detector: what all requests share, and the options of boxes."""
    given = click.get_current_context().params
    shared = ("classes", "options", "layer", "inputs")
    found: Any = {name: value for name, value in request.items() if name in shared}
    found |= {name: given[name] for name in ("conf", "iou", "limit") if given[name] is not None}
    found |= {name: list(given[name]) for name in ("box_index", "why") if given[name]}
    if given["boxes"]:
        found["boxes"] = [one for (one,) in given["boxes"]]
    if given["near_miss"]:
        found["near_miss"] = True
    return found


def explain_detector(
    explainer: Explainer,
    images: Sequence[tuple[Path, Path]],
    request: Request,
    methods: Sequence[str],
    further: dict[str, Any],
    drawing: Drawing,
    target: Path | None,
    *,
    as_json: bool,
    opened: bool,
) -> None:
    """Explain the boxes of images: write a picture for each, and print a line for each box.

    Args:
        explainer: The artifact.
        images: Photographs, or files of what the model takes, and how each is called.
        request: What to explain.
        methods: Ids of methods; empty: the artifact's own.
        further: Values of further inputs.
        drawing: How to draw.
        target: A folder, or with one picture its file; None: a file in the current folder.
        as_json: Print JSON instead of lines.
        opened: Show what was written.
    """
    from ..runtime.inputs.names import Names
    from ..runtime.json_text import write_json
    from ..runtime.output.box_files import write_boxes
    from ..runtime.output.box_text import describe_boxes

    if target is not None:
        guard(target, (), RenderError, folder=not _is_picture(target))
    each: Sequence[str | None] = list(dict.fromkeys(methods)) or [None]
    examples = [(path, one) for file, path in images for one in explainer.read_file(file, further)]
    if _is_picture(target) and len(examples) * len(each) > 1:
        raise RenderError(f"{target} is one file for several pictures; give a folder: -o out")
    names, many = Names(), len(images) >= _MANY
    rows: list[dict[str, Any]] = []
    texts: list[str] = []
    with progress_bar("explaining", hidden=not many) as bar:
        bar(0, len(examples))
        for done, (path, example) in enumerate(examples, 1):
            name = names.distinct(example.name)
            for method in each:
                destination = _destination(target, name, method if len(each) > 1 else None, drawing)
                own: Request = {**request, "progress": None if many else meter(path.name)}
                if method is not None:
                    own["method"] = method
                found = explainer.explain_boxes(example, **own)
                saved = write_boxes(found, destination, **drawing.made, **drawing.look)
                rows.append(
                    {**found.to_dict(), "image": str(path), "files": [str(one) for one in saved]}
                )
                texts.append(describe_boxes(path, found, saved))
            bar(done, len(examples))
    say(write_json(rows, indent=2) if as_json else "\n".join(texts))
    note(f"ran on {explainer.provider}")
    if opened:
        open_written([Path(file) for row in rows for file in row["files"]])


def _destination(target: Path | None, name: str, method: str | None, drawing: Drawing) -> Path:
    """Return the file of one explanation; without a target one that does not exist yet."""
    from ..runtime.inputs.names import file_name
    from ..runtime.output.box_files import boxes_file

    file = Path(boxes_file(name, f".{drawing.kind}", method))
    if target is None:
        paths = (Path(file_name(f"{file.stem}{end}", file.suffix)) for end in _endings())
        return next(path for path in paths if not path.exists())
    return target if _is_picture(target) else target / file


def _is_picture(target: Path | None) -> bool:
    """Whether a target names one picture, not a folder."""
    from ..runtime.output.box_files import PICTURES

    return target is not None and target.suffix.lower() in PICTURES and not target.is_dir()


def _endings() -> Iterator[str]:
    """Yield nothing, then ``-2``, ``-3`` and so on."""
    yield ""
    yield from (f"-{number}" for number in count(2))
