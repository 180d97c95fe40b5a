"""``python -m graftcam`` runs the command line."""

import os
import sys

# Python searches the working folder first, where a click.py would take the place of click. What a
# command needs of that folder is found after the installed packages (exporter.source.attribute).
if not sys.flags.safe_path and sys.path[:1] in ([""], [os.getcwd()]):  # noqa: PTH109 - loaded
    del sys.path[0]

from .cli import main

main(prog_name="graftcam")
