"""This module writes ``llms.txt``, the site's pages for language models (https://llmstxt.org)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_MOST = 200  # characters of a page's summary


@dataclass(frozen=True)
class Entry:
    """A page: its title, its address from the site's root, and what it is about."""

    title: str
    address: str
    summary: str


def llms_text(name: str, summary: str, sections: Mapping[str, Sequence[Entry]]) -> str:
    """Return the file: a heading, a summary, and for each section a list of links.

    Args:
        name: The project's name.
        summary: What it is, in a sentence.
        sections: The pages by the title of their section.
    """
    parts = [f"# {name}", f"> {summary}"]
    for title, entries in sections.items():
        lines = [f"- [{one.title}]({one.address}): {one.summary}" for one in entries]
        parts += [f"## {title}", "\n".join(lines)]
    return "\n\n".join(parts) + "\n"


def summary_of(markdown: str) -> str:
    """Return the first sentences of a page's text that fit, without markup."""
    text = re.sub(r"<!--.*?-->|^```.*?^```$", "", markdown, flags=re.DOTALL | re.MULTILINE)
    paragraphs = (" ".join(one.split()) for one in text.split("\n\n"))
    first = next((one for one in paragraphs if re.match(r"(?!Written by)[\w`*\"]", one)), "")
    first = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", first).replace("*", "")
    found, *others = re.split(r"(?<=[.!?:]) (?=[A-Z`])", first)
    for sentence in others:
        if len(found) + len(sentence) >= _MOST:
            break
        found += f" {sentence}"
    found = found.rstrip(":")
    return found if len(found) <= _MOST else f"{found[:_MOST].rsplit(' ', 1)[0]} ..."
