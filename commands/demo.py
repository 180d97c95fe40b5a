"""`graftcam demo` exports the bundled model and explains the bundled images."""

from __future__ import annotations

import json
from pathlib import Path

import click

from .common import Steps, command, need_exporter
from .guarded import Destination
from .options import json_option


@command("graftcam demo", "graftcam demo -o /tmp/demo")
@click.option("-o", "--to", "folder", type=Destination(folder=True), default="out/demo",
              show_default=True, metavar="DIR", help="Folder to write to.")  # fmt: skip
@json_option
def demo(folder: Path, as_json: bool) -> None:
    """Export the bundled digit model, verify it and explain the bundled images."""
    need_exporter()
    from ..demo.run import run
    from ..exporter.report.describe import describe_report

    with Steps() as steps:
        summary = run(folder, steps)
    if as_json:
        click.echo(json.dumps(summary.to_dict(), indent=2))
        return
    click.echo(describe_report(summary.report))
    for row in summary.rows:
        click.echo(f"  {row}")
    click.echo(summary.pointing)
    click.echo(f"overlays: {folder / 'overview.png'} and {len(summary.files)} more in {folder}")
