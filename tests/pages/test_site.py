"""The documentation's site: generated pages, links that leave its folder, its table of contents."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any, cast

import click

from docs.site.api_pages import api_pages, public_names
from docs.site.command_pages import command_reference
from docs.site.hooks import on_page_markdown
from docs.site.links import listing, rewrite, root_pages, sources_of
from docs.site.llms import Entry, llms_text, summary_of
from graftcam import runtime
from graftcam.cli import main
from support.paths import ROOT


def test_the_command_line_page_has_every_command_option_and_example() -> None:
    page = command_reference(main)
    assert re.findall(r"^## graftcam (.*)$", page, re.M) == list(main.commands)
    for name, command in main.commands.items():
        section = page.partition(f"\n## graftcam {name}\n")[2].partition("\n## ")[0]
        options = [one for one in command.params if isinstance(one, click.Option)]
        for flag in [flag for one in options for flag in (*one.opts, *one.secondary_opts)]:
            assert re.search(rf"^\| .*`[^`]*{flag}\b[^`]*`{{.flag}}.* \| ", section, re.M), flag
        assert f"```sh\ngraftcam {name}" in section
    _, _, looks = page.partition("\n**How it looks**\n\n| option | value | meaning |\n")
    assert looks.index("`--style`{.flag}") < looks.index("\n**Inputs**\n")
    assert "\n**Folders**\n\nIf IMAGES is one folder, " in page


def test_help_is_no_markup() -> None:
    @click.command(epilog="\b\nExamples:\n  tool run a | b")
    @click.option("--rate", metavar="A|B", help="Is <small> | * or `a * b`.")
    def run(rate: str) -> None:
        """Take <this>.

        And that.
        """

    page = command_reference(click.Group("tool", {"run": run}), "tool")
    assert "\nTake &lt;this&gt;.\n\nAnd that.\n" in page
    assert "| `--rate`{.flag} | `A|B` | Is &lt;small&gt; \\| \\* or `a * b`. |" in page
    assert page.endswith("```sh\ntool run a | b\n```\n")


def test_commands_of_a_group_inside_have_their_full_names() -> None:
    inner = click.Group("cache", {"clear": click.Command("clear")})
    page = command_reference(click.Group("tool", {"cache": inner}), "tool")
    assert "\n## tool cache clear\n" in page
    assert "\n## tool cache\n" not in page


def test_the_python_pages_have_every_public_name() -> None:
    pages = api_pages(ROOT)
    assert public_names(ROOT / "runtime" / "__init__.py") == runtime.__all__
    for name in runtime.__all__:
        assert f"\n::: graftcam.runtime.{name}\n" in pages["reference/runtime.md"] + "\n"
    assert "::: graftcam.exporter.export\n" in pages["reference/exporter.md"] + "\n"


def test_links_out_of_the_folder_lead_to_copies_and_others_stay() -> None:
    text = (
        "[a](../SECURITY.md#who), [b](other.md), [c](../examples/node/explain.js), "
        "[d](../examples/node), [e](https://x.org/a.md), [f](#here), ![g](images/g.png)"
    )
    assert rewrite(text, "docs/page.md", "page.md", ROOT) == (
        "[a](project/security.md#who), [b](other.md), [c](source/examples/node/explain.js), "
        "[d](source/examples/node.md), [e](https://x.org/a.md), [f](#here), ![g](images/g.png)"
    )
    found = sources_of(text, "docs/page.md", ROOT)
    assert found == {"examples/node", "examples/node/explain.js"}
    assert sources_of("[a](../examples/none.js)", "docs/page.md", ROOT) == set()  # MkDocs warns
    assert "- [explain.js](node/explain.js)" in listing("examples/node", ROOT)


def test_a_bar_in_the_code_of_a_table_needs_no_escape_on_the_site() -> None:
    file = SimpleNamespace(src_uri="page.md", generated_by=None)
    page = cast(Any, SimpleNamespace(file=file, meta={}))
    text = "| `\\|x\\|` | a \\| b |\n\n`\\|` [a](../SECURITY.md)"
    assert on_page_markdown(text, page) == ("| `|x|` | a \\| b |\n\n`\\|` [a](project/security.md)")


def test_links_of_pages_beside_the_folder_lead_into_it() -> None:
    assert root_pages(ROOT)["CHANGELOG.md"] == "project/changelog.md"
    text = "[a](docs/custody.md#digests), [b](CONTRIBUTING.md), [c](README.md), [d](LICENSE)"
    assert rewrite(text, "CHANGELOG.md", "project/changelog.md", ROOT) == (
        "[a](../custody.md#digests), [b](contributing.md), [c](../index.md), [d](../source/LICENSE)"
    )


def test_llms_txt_has_the_form_of_llmstxt_org() -> None:
    entry = Entry("Your first map", "tutorials/first-map.md", "From nothing to a map.")
    assert llms_text("tool", "Does it.", {"Tutorials": [entry]}) == (
        "# tool\n\n> Does it.\n\n## Tutorials\n\n"
        "- [Your first map](tutorials/first-map.md): From nothing to a map.\n"
    )


def test_a_pages_summary_is_its_first_sentence_without_markup() -> None:
    passed_over = "# T\n\n<!-- a\n\nb -->\n\nWritten by x.\n\n```sh\na\n\nb\n```\n\n![x](y.png)"
    page = f"{passed_over}\n\n**See** the [file](a.md)\nhere."
    assert summary_of(page) == "See the file here."
    assert summary_of(f"{page} {'More. ' * 9}") == f"See the file here. {'More. ' * 9}".strip()
    assert summary_of(f"{page} {'More ' * 50}.") == "See the file here."
    assert summary_of("# T\n\n" + "word " * 99).endswith(" word ...")


def test_every_document_has_its_place_in_the_navigation() -> None:
    named = re.findall(r"- (?:\w+: )?(\S+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.M)
    assert len(named) == len(set(named))
    docs = {path.relative_to(ROOT / "docs").as_posix() for path in ROOT.glob("docs/**/*.md")}
    generated = {"reference/cli.md", *api_pages(ROOT), *root_pages(ROOT).values()}
    assert docs <= set(named)
    assert set(named) <= docs | generated
