"""`graftcam ops` lists the operators and their gradient rules."""

from __future__ import annotations

import json

import click

from .common import command, need_exporter, say
from .options import json_option


@command("graftcam ops", "graftcam ops --json")
@click.option("--markdown", "as_markdown", is_flag=True, help="Print docs/operators.md.")
@json_option
def ops(as_markdown: bool, as_json: bool) -> None:
    """List the ONNX operators: with a gradient rule, without a derivative, or refused and why."""
    need_exporter()
    from ..exporter.differentiate.rules import table
    from ..exporter.report.operators import markdown, summary

    rows = {
        name: {"since": entry.since, "state": entry.state, "adjoint": summary(entry)}
        for name, entry in table().items()
    }
    if as_json:
        say(json.dumps(rows, indent=2))
    elif as_markdown:
        say(markdown(), nl=False)
    else:
        width = max(map(len, rows))
        say("\n".join(f"{name:<{width}}  {row['adjoint']}" for name, row in rows.items()))
