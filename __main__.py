"""``python -m graftcam`` runs the command line."""

from .cli import main

main(prog_name="graftcam")
