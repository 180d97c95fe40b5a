r"""`plain` makes text safe to show: characters that control a terminal or a line become visible.

Labels, names and messages come from files of others. In them an escape sequence could clear the
screen, a line break could forge a line, and a mark of direction could turn a name around. The
results of these functions have them as ``\x1b``, ``\n`` and ``\u202e``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, cast

# Control characters of ASCII and Latin-1, separators of lines and paragraphs, marks that change the
# direction of what follows, and halves of surrogate pairs, which no encoding can write.
_LINE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
# The same without the line break; a sequence that sets a colour is matched first.
_PAGE = re.compile(
    r"(\x1b\[[0-9;]{0,24}m)"
    r"|[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
_SURROGATE = re.compile(r"[\ud800-\udfff]")


def plain(text: str) -> str:
    """Return text of one line without characters that control a terminal or end a line."""
    return _LINE.sub(_escape, text)


def plain_lines(lines: Iterable[str]) -> str:
    """Join lines, each of them `plain`."""
    return "\n".join(map(plain, lines))


def plain_page(text: str, *, colour: bool = False) -> str:
    """Return text of several lines without characters that control a terminal.

    Args:
        text: The text; its line breaks stay.
        colour: Whether the escape sequences for colours stay, too.
    """

    def escape(found: re.Match[str]) -> str:
        return found[0] if colour and found[1] else "".join(map(_escaped, found[0]))

    return _PAGE.sub(escape, text)


def unicode_only(value: Any) -> Any:
    """Return text, or JSON's types, without halves of surrogate pairs: with their escapes instead.

    Names of files may have such halves, where their bytes are no UTF-8.
    """
    if isinstance(value, str):
        return _SURROGATE.sub(_escape, value)
    if isinstance(value, Mapping):
        entries = cast("Mapping[Any, Any]", value).items()
        return {unicode_only(key): unicode_only(item) for key, item in entries}
    if isinstance(value, (list, tuple)):
        return [unicode_only(item) for item in cast("list[Any]", value)]
    return value


def clip(text: str, most: int) -> str:
    """Return text of at most ``most`` characters, with three dots in place of its middle."""
    if len(text) <= most:
        return text
    # A message names its remedy at the end.
    end = most // 4
    return f"{text[: most - end - 3]}...{text[-end:]}"


def _escape(found: re.Match[str]) -> str:
    return _escaped(found[0])


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
