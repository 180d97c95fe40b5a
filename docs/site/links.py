"""This module leads links of documents to their places in the site.

The documents are read on GitHub, too: there a link such as ``../examples/node`` leads out of
``docs``. The site has a copy of what such links name.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

_LINK = re.compile(r"(\]\()([^)#\s:]+)((?:#[^)\s]*)?\))")
# The site's own front page takes the README's place.
_FRONT = {"README.md": "index.md"}


def root_pages(root: Path) -> dict[str, str]:
    """Return the pages beside ``docs``, such as the changelog, and their places in the site."""
    names = sorted(path.name for path in root.glob("*.md"))
    return {name: f"project/{name.lower()}" for name in names if name not in _FRONT}


def sources_of(markdown: str, origin: str, root: Path) -> set[str]:
    """Return the files and folders outside of ``docs`` that a page names, and that exist.

    Args:
        markdown: The page's text.
        origin: Its path in the repository.
        root: The repository's folder.
    """
    targets = {_target(origin, match[2]) for match in _LINK.finditer(markdown)}
    pages = {*root_pages(root), *_FRONT}
    outside = {one for one in targets if not one.startswith("docs/") and one not in pages}
    return {one for one in outside if (root / one).exists()}


def rewrite(markdown: str, origin: str, place: str, root: Path) -> str:
    """Return a page with the links that lead out of the site's folder led to their copies.

    Args:
        markdown: The page's text.
        origin: Its path in the repository, such as ``docs/deploy.md``.
        place: Its path in the site, such as ``deploy.md``.
        root: The repository's folder.
    """
    pages = root_pages(root) | _FRONT

    def led(match: re.Match[str]) -> str:
        target = _target(origin, match[2])
        inside = target.removeprefix("docs/")
        if inside == target:
            inside = pages.get(target) or copy_of(target, root)
        return f"{match[1]}{posixpath.relpath(inside, posixpath.dirname(place) or '.')}{match[3]}"

    return _LINK.sub(led, markdown)


def copy_of(target: str, root: Path) -> str:
    """Return the place of a file's copy; a folder has a page that lists its files."""
    return f"source/{target}.md" if (root / target).is_dir() else f"source/{target}"


def listing(folder: str, root: Path) -> str:
    """Return the page of a folder of the repository."""
    lines = [f"- [{path.name}]({Path(folder).name}/{path.name})" for path in files_in(folder, root)]
    return "\n".join([f"# {folder}", "", "The files of this folder of the repository.", "", *lines])


def files_in(folder: str, root: Path) -> list[Path]:
    """Return the files right inside a folder of the repository."""
    return sorted(path for path in (root / folder).iterdir() if path.is_file())


def _target(origin: str, link: str) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(origin), link))
