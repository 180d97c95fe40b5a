"""`render` fills a page's template; names and messages on it can do nothing but be read."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ....runtime.plain_text import plain
from ...errors import WriteError


def need_jinja() -> None:
    """Raise WriteError if Jinja2 is missing, with the command to install it."""
    if importlib.util.find_spec("jinja2") is None:
        raise WriteError('Jinja2 is missing; a report needs: pip install "graftcam[onnx]"')


def render(
    template: Path,
    facts: Mapping[str, Any],
    filters: Mapping[str, Callable[..., str]] | None = None,
) -> str:
    """Return a page.

    Args:
        template: A Jinja template.
        facts: Its variables; a missing one is an error.
        filters: Further filters of the template.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(template.parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_plain,
    )
    for name, function in (filters or {}).items():
        environment.filters[name] = function
    return environment.get_template(template.name).render(facts)


def _plain(value: Any) -> Any:
    """Return a value of the page; names and messages in it turn no writing around."""
    return plain(value) if isinstance(value, str) else value
