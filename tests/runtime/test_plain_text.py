"""Text of others controls no terminal, forges no line, and can be written anywhere."""

from __future__ import annotations

import json
import pickle

import pytest

from graftcam.runtime.errors import GraftcamError, PositionError, first_line
from graftcam.runtime.json_text import write_json
from graftcam.runtime.limits import MESSAGE, RELAYED
from graftcam.runtime.plain_text import clip, plain, plain_lines, plain_page, unicode_only

VISIBLE = {
    "\x1b[2J": "\\x1b[2J",
    "frog\nError: forged": "frog\\nError: forged",
    "a\r\tb\0": "a\\r\\tb\\x00",
    "\x7f\x9b31m": "\\x7f\\x9b31m",
    "\u2028\u2029": "\\u2028\\u2029",
    "\u202egnp.exe\u2066": "\\u202egnp.exe\\u2066",
    "\ud800 \udcff": "\\ud800 \\udcff",
}
# Umlauts, other scripts, Arabic with its mark of direction, a family of joined emoji, a backslash.
LEFT = "Größe 画像 عربى\u200f \U0001f468\u200d\U0001f469 a\\n"


@pytest.mark.parametrize(("text", "shown"), VISIBLE.items())
def test_what_controls_a_terminal_or_a_line_becomes_visible(text: str, shown: str) -> None:
    assert plain(text) == shown
    assert str(GraftcamError(text)) == shown
    assert plain_page(text).replace("\n", "\\n") == shown
    shown.encode()


def test_other_text_stays_as_it_is() -> None:
    for function in (plain, plain_page, unicode_only):
        assert function(LEFT) == LEFT


def test_lines_and_colours_stay_only_where_they_are_ours() -> None:
    assert plain_lines(["a\nb", "c"]) == "a\\nb\nc"
    coloured = "\x1b[48;2;1;2;3ma\x1b[0m\nb\x1b]0;title\x07"
    assert plain_page(coloured, colour=True) == "\x1b[48;2;1;2;3ma\x1b[0m\nb\\x1b]0;title\\x07"
    assert "\x1b" not in plain_page(coloured)


def test_messages_have_a_bounded_length_and_keep_their_end() -> None:
    text = str(GraftcamError("a" * 10**6 + "; the remedy"))
    assert len(text) == MESSAGE
    assert text.endswith("; the remedy")
    assert len(first_line(ValueError("b" * 10**6 + "\nc"))) == RELAYED
    assert clip("abcdefghij", 8) == "abc...ij"
    assert first_line(ValueError()) == "ValueError"


def test_errors_travel_between_processes() -> None:
    error = pickle.loads(pickle.dumps(PositionError("no class\nhere")))
    assert (type(error), str(error)) == (PositionError, "no class\\nhere")


def test_json_is_unicode_whatever_the_names_in_it() -> None:
    data = {"pa\udcffth": ["\ud800", "\U0001f438", "ä", "\x7f", "\\ud800", 1.5, None]}
    for ascii_only in (True, False):
        text = write_json(data, ensure_ascii=ascii_only, sort_keys=True)
        text.encode()
        assert text.isprintable()
        assert json.loads(text) == {
            "pa\\udcffth": ["\\ud800", "\U0001f438", "ä", "\x7f", "\\ud800", 1.5, None]
        }
    assert write_json({"b": 1, "a": "x"}, sort_keys=True) == '{"a": "x", "b": 1}'
