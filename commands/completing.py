"""At a TAB these functions offer values: methods, engines, and what the artifact before names.

An artifact's metadata is read from its file, without ONNX Runtime; the names of models from the
source of torchvision and timm, without importing them.
"""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    add_completion_class,
    split_arg_string,
)

from ..runtime.plain_text import plain

if TYPE_CHECKING:
    from ..runtime.spec import Spec

_SOURCES = ("source", "model", "artifact", "first")  # arguments that name an artifact
_MODEL = re.compile(r"@register_model\b(?:\([^)]*\))?\s+(?:@[\s\S]*?)?def (\w+)\(")
_ZOOS = {"torchvision": "models", "timm": "models"}
_MOST = 2000  # values: more help nobody

# Bash divides words at colons too: what it has of the word already is cut off. Values are quoted
# as bash does, unless the user has begun a quotation.
_BASH = """\
%(complete_func)s() {
    local IFS=$'\\n' line=${COMP_LINE:0:COMP_POINT} completion kind value word before=
    word=${line##*[[:space:]]}
    [[ $COMP_WORDBREAKS == *:* && $word == *:* ]] && before=${word%%"${word##*:}"}
    COMPREPLY=()
    for completion in $(env COMP_WORDS="$line" COMP_CWORD=0 \\
        %(complete_var)s=bash_complete "$1" 2>/dev/null); do
        kind=${completion%%%%,*} value=${completion#*,}
        if [[ $kind == dir ]]; then
            compopt -o dirnames
        elif [[ $kind == file ]]; then
            compopt -o default
        else
            if [[ $value == *[!A-Za-z0-9_.:,+/=@-]* && \\
                ${COMP_WORDS[COMP_CWORD]} != [\\"\\']* ]]; then
                printf -v value %%q "$value"
            fi
            COMPREPLY+=("${value#"$before"}")
        fi
    done
}
complete -o nosort -F %(complete_func)s %(prog_name)s
"""


class Bash(BashComplete):
    """Completion in bash, whose script hands over the line up to the cursor."""

    source_template = _BASH

    def get_completion_args(self) -> tuple[list[str], str]:
        """Return the words before the one to complete, and that."""
        line = os.environ["COMP_WORDS"]
        words = split_arg_string(line)[1:]
        return (words, "") if line[-1:].isspace() or not words else (words[:-1], words[-1])


class Fish(FishComplete):
    """Completion in fish, for values with commas, as labels have them."""

    source_template = FishComplete.source_template.replace("string split ", "string split -m 1 ")


def register() -> None:
    """Let click answer shells with this module's scripts."""
    add_completion_class(Bash, "bash")
    add_completion_class(Fish, "fish")


def offers(kind: str, context: click.Context, incomplete: str) -> list[CompletionItem[str]]:
    """Return what fits to the beginning of a value; nothing if that cannot be found out."""
    try:
        found = list(FINDERS[kind](context, incomplete))
    except Exception:  # a shell has no place for an error, such as of a file that is no artifact
        return []
    return [one for one in found if plain(one.value) == one.value][:_MOST]


def _items(
    values: Iterable[str], incomplete: str, texts: Callable[[str], str] = lambda _: ""
) -> Iterator[CompletionItem[str]]:
    start = incomplete.casefold()
    for value in values:
        if value.casefold().startswith(start):
            yield CompletionItem(value, help=texts(value) or None)


def _spec(context: click.Context) -> Spec:
    from ..runtime.custody.entries import read_spec

    named = [context.params.get(name) for name in _SOURCES]
    # Where an option still lacks its value, click has not given the arguments their names.
    return read_spec(Path(next(filter(None, [*named, *context.args]))))


def _sources(_context: click.Context, incomplete: str) -> Iterator[CompletionItem[str]]:
    yield CompletionItem(incomplete, type="file")
    if incomplete:
        for package, folder in _ZOOS.items():
            start = f"{package}:"
            if start.startswith(incomplete) or incomplete.startswith(start):
                names = (f"{start}{name}" for name in _model_names(package, folder))
                yield from _items(names, incomplete)


def _model_names(package: str, folder: str) -> list[str]:
    """Return the names of a package's models from its source; importing it takes seconds."""
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        return []
    files = Path(found.origin).with_name(folder).rglob("*.py")
    texts = (file.read_text("utf-8", errors="replace") for file in files)
    return sorted({name for text in texts for name in _MODEL.findall(text)})


def _methods(_context: click.Context, incomplete: str) -> Iterator[CompletionItem[str]]:
    from ..runtime.methods.table import METHODS

    return _items(METHODS, incomplete, lambda name: METHODS[name].source)


def _layers(context: click.Context, incomplete: str) -> Iterator[CompletionItem[str]]:
    return _items((layer.name for layer in _spec(context).layers), incomplete)


def _outputs(context: click.Context, incomplete: str) -> Iterator[CompletionItem[str]]:
    return _items(_spec(context).output_names, incomplete)


def _classes(context: click.Context, incomplete: str) -> Iterator[CompletionItem[str]]:
    spec, output = _spec(context), context.params.get("output")
    if output in spec.output_names:
        spec = spec.about(spec.output_names.index(output))
    return _items(dict.fromkeys(spec.labels or []), incomplete)


def _engines(_context: click.Context, incomplete: str) -> Iterator[CompletionItem[str]]:
    from ..runtime.session.engines.table import ENGINES

    yield from _items(["cpu", "cuda"], incomplete)
    yield from _items(ENGINES, incomplete, lambda name: ENGINES[name].title)


def _measures(_context: click.Context, incomplete: str) -> Iterator[CompletionItem[str]]:
    from ..runtime.tools.evaluate.measure import MEASURES

    return _items(["all", *MEASURES], incomplete)


def _words(_context: click.Context, incomplete: str) -> Iterator[CompletionItem[str]]:
    from ..runtime.inputs.preprocess_words import WORDS

    before, comma, last = incomplete.rpartition(",")
    yield from _items((f"{before}{comma}{word}" for word in WORDS), f"{before}{comma}{last}")


FINDERS: dict[str, Callable[[click.Context, str], Iterator[CompletionItem[str]]]] = {
    "source": _sources,
    "method": _methods,
    "layer": _layers,
    "output": _outputs,
    "class": _classes,
    "engine": _engines,
    "measure": _measures,
    "preprocess": _words,
}
"""By the kind of a value."""
