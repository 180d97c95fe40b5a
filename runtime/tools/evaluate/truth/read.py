"""`read_annotations` recognises the format in which people drew on photographs, and reads it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ....errors import TruthError
from ....inputs.image_names import SUFFIXES
from ....limits import MAX_PIXELS
from ...jobs.find import find_images
from .coco import read_coco
from .mask_files import read_mask_files
from .names import Classes, listed
from .photographs import files_in, pair, stem_of, unpaired
from .subject import Subject
from .truth import Annotations
from .voc import read_voc
from .yolo import read_yolo
from .yolo_names import NAMES_FILES

FORMATS = (
    "a .json file of COCO, or a folder of .xml files (Pascal VOC), of .txt files (YOLO) or of mask "
    "images"
)


def read_annotations(
    source: Path,
    labels: Sequence[str] | None,
    classes: int,
    images: Path,
    max_pixels: int = MAX_PIXELS,
) -> Annotations:
    """Read what people drew on the photographs of a folder.

    The format is recognised by the files: a ``.json`` file is COCO's; in a folder, files named
    after photographs are Pascal VOC's (``.xml``), YOLO's (``.txt``) or masks (images), the first of
    these that there are.

    Args:
        source: A file or folder.
        labels: The model's labels; None: it stores none.
        classes: The number of its classes.
        images: The photographs' folder.
        max_pixels: Number of pixels that a mask's file may have.

    Raises:
        TruthError: There are no annotations, they are damaged or too large, no object has a label
            of the model, or none is on a photograph of the folder.
        ImageError: The folder has no photographs.
    """
    is_folder = source.is_dir()
    photographs, _ = find_images(images, source if is_folder else images)
    subject = Subject(Classes(labels), classes, labels is not None, images, photographs, max_pixels)
    if not is_folder:
        if source.suffix.lower() != ".json":
            what = "is no" if source.exists() else "does not exist: there is no"
            raise TruthError(f"{source} {what} file of annotations; give {FORMATS}")
        return read_coco(source, subject)
    files = files_in(source)
    ours = source.resolve() == images.resolve()
    masks = [] if ours else [one for one in files if one.lower().endswith(SUFFIXES)]
    notes: list[str] = []
    for suffix, read in ((".xml", read_voc), (".txt", read_yolo)):
        found = [one for one in files if one.lower().endswith(suffix)]
        found = [one for one in found if one.rpartition("/")[2] not in NAMES_FILES]
        pairs = _of_photographs(found, subject)
        if pairs:
            return read(source, pairs, subject)
        notes += found
    if masks:
        return read_mask_files(source, masks, subject)
    if not notes:
        raise TruthError(f"{source} holds no annotations ({listed(files)}); give {FORMATS}")
    raise unpaired(notes, photographs, source, images)


def _of_photographs(files: Sequence[str], subject: Subject) -> dict[str, str]:
    """Return the photograph of each file that is named after one."""
    stems: dict[str, str] = {stem_of(one): one for one in files}
    pairs = pair(stems, subject.photographs, stem_of)
    return {stems[stem]: photograph for stem, photograph in pairs.items()}
