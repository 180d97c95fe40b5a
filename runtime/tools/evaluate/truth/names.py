"""`Classes` finds a model's class by the name that an annotator gave it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from ....errors import TruthError
from ....plain_text import clip

_SHOWN = 5  # names in a message
_LENGTH = 40  # characters of each


class Classes:
    """The labels of a model, as annotators write them.

    A name is compared with the labels letter by letter, then without regard to case and with ``_``
    and ``-`` as spaces, and at last with the synonyms in labels such as ``tabby, tabby cat``.
    """

    def __init__(self, labels: Sequence[str] | None) -> None:
        self._labels = labels
        self._tables = [_table(labels or (), read) for read in (_as_written, _alike, _synonyms)]

    def find(self, name: str) -> int | None:
        """Return the class id; None: no label matches, or the first that do are several."""
        for table, key in zip(
            self._tables, (name, plain_name(name), plain_name(name)), strict=True
        ):
            if found := table.get(key):
                return found[0] if len(found) == 1 else None
        return None

    def find_all(self, names: Iterable[str], source: Path) -> tuple[dict[str, int], list[str]]:
        """Return the classes of names, and the names without one.

        Args:
            names: The names, in any order and number.
            source: The annotations, for messages.

        Raises:
            TruthError: The model has no labels, or none matches.
        """
        seen = list(dict.fromkeys(names))
        if seen and self._labels is None:
            raise TruthError(
                f"{source} names its objects ({listed(seen)}), and the model stores no labels; "
                "export it with labels (--labels)"
            )
        found = {name: place for name in seen if (place := self.find(name)) is not None}
        if seen and not found:
            raise TruthError(
                f"no label of the model is a name in {source}: it names {listed(seen)}, the labels "
                f"are {listed(self._labels or ())}; export with labels of these names (--labels), "
                "or rename the objects"
            )
        return found, [name for name in seen if name not in found]


def listed(names: Iterable[str]) -> str:
    """Return names for a message: the first few in quotation marks, and how many more there are."""
    every = list(names)
    shown = ", ".join(f"'{clip(name, _LENGTH)}'" for name in every[:_SHOWN])
    return shown + (f" and {len(every) - _SHOWN:,} more" if len(every) > _SHOWN else "")


def plain_name(name: str) -> str:
    """Return a name in lower case, with single spaces between its words."""
    return " ".join(name.replace("_", " ").replace("-", " ").casefold().split())


def _table(labels: Sequence[str], read: Callable[[str], Iterable[str]]) -> dict[str, list[int]]:
    """Return the class ids by each name that ``read`` finds in their labels."""
    table: dict[str, list[int]] = {}
    for place, label in enumerate(labels):
        for name in set(read(label)):
            table.setdefault(name, []).append(place)
    return table


def _as_written(label: str) -> list[str]:
    return [label]


def _alike(label: str) -> list[str]:
    return [plain_name(label)]


def _synonyms(label: str) -> list[str]:
    return [plain_name(word) for word in label.split(",")]
