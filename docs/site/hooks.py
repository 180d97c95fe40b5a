"""MkDocs calls these functions as it builds the site; mkdocs.yml names this file.

MkDocs itself is imported only as they run: the tests read this folder without it.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from docs.site.api_pages import api_pages
from docs.site.command_pages import command_reference
from docs.site.links import copy_of, files_in, listing, rewrite, root_pages, sources_of
from docs.site.llms import Entry, llms_text, summary_of
from docs.site.notebooks import page_of_notebook
from graftcam.cli import main

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.nav import Navigation
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
_PACKAGE = ROOT / "build" / "docs" / "graftcam"
_CLI = "reference/cli.md"
# Who searches a message wants its page, not a table of figures with the same words.
_SEARCH = {
    "troubleshooting.md": 4.0,
    **dict.fromkeys(("benchmarks.md", "models.md", "field.md", "project/changelog.md"), 0.1),
}
_ROW, _CODE = re.compile(r"^\|.*$", re.MULTILINE), re.compile(r"`[^`]+`")
_navigation: list[Navigation] = []


def on_startup(**_: Any) -> None:
    """Copy what is documented into a folder of the package's name: the checkout may have any."""
    shutil.rmtree(_PACKAGE, ignore_errors=True)
    for half in ("exporter", "runtime"):
        shutil.copytree(ROOT / half, _PACKAGE / half, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "__init__.py", _PACKAGE)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Add the notebooks to the navigation, behind the tutorials."""
    notebooks = [f"notebooks/{path.stem}.md" for path in _notebooks()]
    tutorials = next(one["Tutorials"] for one in config.nav or [] if "Tutorials" in one)
    if notebooks and notebooks[0] not in str(tutorials):
        tutorials.append({"Notebooks": notebooks})
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are generated, and copies of what pages name outside of ``docs``."""
    from mkdocs.structure.files import File

    made: dict[str, str | bytes] = {**api_pages(ROOT), _CLI: command_reference(main)}
    beside = {name: (ROOT / name).read_text("utf-8") for name in root_pages(ROOT)}
    for name, place in root_pages(ROOT).items():
        # Python-Markdown nests lists by four spaces, GitHub's by two as well.
        text = re.sub(r"^( {2})+(?=- )", lambda match: match[0] * 2, beside[name], flags=re.M)
        made[place] = rewrite(text, name, place, ROOT)
    for path in _notebooks():
        page, pictures = page_of_notebook(path)
        made[f"notebooks/{path.stem}.md"] = page
        made |= {f"notebooks/{name}": data for name, data in pictures.items()}
    texts = {f"docs/{one.src_uri}": one.content_string for one in files.documentation_pages()}
    texts |= beside
    for target in {one for name, text in texts.items() for one in sources_of(text, name, ROOT)}:
        named = [ROOT / target]
        if named[0].is_dir():
            made[copy_of(target, ROOT)], named = listing(target, ROOT), files_in(target, ROOT)
        for path in named:
            made[f"source/{path.relative_to(ROOT).as_posix()}"] = path.read_bytes()
    for place, content in made.items():
        files.append(File.generated(config, place, content=content))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Lead the links of a document that leave ``docs`` to their copies; mend tables."""
    place = page.file.src_uri
    if place == "index.md":
        page.meta["hide"] = ["navigation", "toc"]
    if place in _SEARCH:
        page.meta["search"] = {"boost": _SEARCH[place]}
    # GitHub wants a bar inside code escaped in a table, Python-Markdown takes it as it is.
    text = _led(page, markdown)
    return _ROW.sub(lambda row: _CODE.sub(lambda code: code[0].replace(r"\|", "|"), row[0]), text)


def _led(page: Page, markdown: str) -> str:
    place = page.file.src_uri
    generated = page.file.generated_by is not None
    return markdown if generated else rewrite(markdown, f"docs/{place}", place, ROOT)


def on_nav(nav: Navigation, **_: Any) -> Navigation:
    """Keep the navigation for `on_post_build`."""
    _navigation[:] = [nav]
    return nav


def on_post_build(config: MkDocsConfig) -> None:
    """Write each page's Markdown beside it, and ``llms.txt`` with all their addresses."""
    sections: dict[str, list[Entry]] = {}
    for item in _navigation[0].items:
        title = str(item.title) if item.children else "Start"
        for page in _pages(item):
            text, place = _led(page, page.file.content_string), page.file.src_uri
            # The Python reference is filled by mkdocstrings; its Markdown holds names only.
            filled = "\n::: " in text
            if not filled:
                target = Path(config.site_dir, place)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(text, "utf-8")
            address = page.url if filled else place
            entry = Entry(str(page.title), address, summary_of(text))
            sections.setdefault(title, []).append(entry)
    text = llms_text(config.site_name, config.site_description or "", sections)
    Path(config.site_dir, "llms.txt").write_text(text, "utf-8")


def _pages(item: Any) -> list[Page]:
    """Return the pages of an entry of the navigation."""
    if item.children:
        return [page for child in item.children for page in _pages(child)]
    return [item] if item.is_page else []


def _notebooks() -> list[Path]:
    return sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))
