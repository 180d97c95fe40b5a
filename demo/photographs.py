"""`photographs` lists the demo's photographs: three are bundled, two are scikit-learn's."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent / "photos"


@dataclass(frozen=True)
class Photograph:
    """One photograph to explain.

    Attributes:
        path: The image file.
        name: What the files made of it are called.
        classes: Labels of the classes to explain, the likeliest first; empty: the three that the
            model ranks best.
        credit: Who made it, and its licence; empty for photographs of the user.
    """

    path: Path
    name: str
    classes: tuple[str, ...] = ()
    credit: str = ""


def photographs() -> list[Photograph]:
    """List the demo's own photographs; those of scikit-learn if it is installed."""
    found = [
        Photograph(
            FOLDER / "cat.jpg", "cat", (),
            "Chelsea the cat, by Stefan van der Walt, CC0, from scikit-image",
        ),
        Photograph(
            FOLDER / "astronaut.jpg", "astronaut", ("football helmet", "space shuttle", "flagpole"),
            "Eileen Collins, by NASA, public domain, from scikit-image",
        ),
        Photograph(
            FOLDER / "coffee.jpg", "coffee", (),
            "A cup of coffee, by Rachel Michetti, CC0, from scikit-image",
        ),
    ]  # fmt: skip
    sklearn = importlib.util.find_spec("sklearn")
    if sklearn is not None and sklearn.origin is not None:
        folder = Path(sklearn.origin).parent / "datasets" / "images"
        found += [
            Photograph(
                folder / "flower.jpg", "flower", (),
                "A flower, by vultilion on Flickr, CC BY 2.0, from scikit-learn",
            ),
            Photograph(
                folder / "china.jpg", "temple", ("bell cote", "palace", "lakeside"),
                "A temple in China, by danielbuechele on Flickr, CC BY 2.0, from scikit-learn",
            ),
        ]  # fmt: skip
    return found


def own_photographs(paths: Iterable[Path]) -> list[Photograph]:
    """Return photographs of the user, each explained for the classes that the model ranks best."""
    return [Photograph(path, path.stem or "image") for path in paths]
