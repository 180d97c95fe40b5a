"""Bounds stand in the annotations of fields: ``Annotated[int, Range(1)]`` is a number from 1 on.

Each bound can compare a value, say in words what it allows, and say it in JSON schema's keywords.
`checks` and `records` enforce them; ``docs/artifact.schema.json`` is generated from them.
"""

from __future__ import annotations

import re
from collections.abc import Sized
from dataclasses import dataclass
from numbers import Real
from typing import Annotated, Any, Protocol


class Bound(Protocol):
    """What a value of a type must be beside its type."""

    def allows(self, value: Any) -> bool:
        """Whether the value, which has the annotated type, lies within the bound."""
        ...

    def narrow(self, words: str) -> str:
        """Return the words for a type, such as ``a whole number``, with the bound added."""
        ...

    def schema(self) -> dict[str, Any]:
        """Return the bound as keywords of JSON schema."""
        ...


@dataclass(frozen=True)
class Range:
    """Numbers from ``least`` to ``most``, both included; None: no upper bound.

    What is no number (None, where the type allows it) has no range.
    """

    least: float
    most: float | None = None

    def allows(self, value: Any) -> bool:
        """See `Bound`."""
        if not isinstance(value, Real):
            return True
        number: Any = value
        return bool(number >= self.least and (self.most is None or number <= self.most))

    def narrow(self, words: str) -> str:
        """See `Bound`."""
        end = "on" if self.most is None else f"to {_shown(self.most)}"
        return f"{words} from {_shown(self.least)} {end}"

    def schema(self) -> dict[str, Any]:
        """See `Bound`."""
        upper = {} if self.most is None else {"maximum": self.most}
        return {"minimum": self.least, **upper}


@dataclass(frozen=True)
class Length:
    """Lists of ``least`` to ``most`` entries, both included; None: no upper bound."""

    least: int
    most: int | None = None

    def allows(self, value: Sized) -> bool:
        """See `Bound`."""
        return len(value) >= self.least and (self.most is None or len(value) <= self.most)

    def narrow(self, words: str) -> str:
        """See `Bound`."""
        if self.least == self.most:
            return f"{words}, {self.least} of them"
        end = "or more" if self.most is None else f"to {self.most}"
        return f"{words}, {self.least} {end} of them"

    def schema(self) -> dict[str, Any]:
        """See `Bound`."""
        upper = {} if self.most is None else {"maxItems": self.most}
        return {"minItems": self.least, **upper}


@dataclass(frozen=True)
class Text:
    """Texts of one form.

    Attributes:
        pattern: A regular expression of the whole text, in what Python and JSON schema share.
        what: The form in words, such as ``name``.
    """

    pattern: str
    what: str

    def allows(self, value: str) -> bool:
        """See `Bound`."""
        return re.fullmatch(self.pattern, value) is not None

    def narrow(self, words: str) -> str:
        """See `Bound`."""
        return words.replace("text", self.what)

    def schema(self) -> dict[str, Any]:
        """See `Bound`."""
        return {"pattern": f"^(?:{self.pattern})$"}


def _shown(number: float) -> str:
    return f"{number:g}" if isinstance(number, float) else str(number)


_MOST = 2**31 - 1  # more entries than any tensor's axis has in practice

Count = Annotated[int, Range(0, _MOST)]
"""A number of entries, or the place of one."""
Positive = Annotated[int, Range(1, _MOST)]
"""A number of at least one entry, such as an extent of a tensor."""
Side = Annotated[int, Range(1, 65536)]
"""Pixels of an image along one side."""
Axis = Annotated[int, Range(1, 31)]
"""An axis of a tensor behind its batch."""
Name = Annotated[str, Text(r"[\s\S]+", "name")]
"""A text that is not empty."""
FileName = Annotated[
    str,
    Text(r"(?!\.{1,2}$)(?![A-Za-z]:)[^/\\\u0000-\u001f\u007f]{1,255}", "file name without folders"),
]
"""The name of a file beside the artifact: no path that leads elsewhere."""
Version = Annotated[str, Text(r"[0-9A-Za-z.!+_-]{1,100}", "version")]
"""The version of a package."""
Digest = Annotated[str, Text(r"[0-9a-f]{64}", "SHA-256 in 64 hexadecimal digits")]
"""The SHA-256 of a file or of an array."""
MethodId = Annotated[str, Text(r"[a-z0-9+-]{1,64}", "method's id")]
"""The id of a method, as in docs/methods.md."""
Labels = Annotated[list[str], Length(0, 1 << 20)]
"""Class names by id."""
