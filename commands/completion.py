"""`graftcam completion` prints the script that lets a shell complete commands."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from ..runtime.errors import GraftcamError
from .common import command, note, say

_SHELLS = {
    "bash": "~/.local/share/bash-completion/completions/graftcam",
    "zsh": "~/.zfunc/_graftcam",
    "fish": "~/.config/fish/completions/graftcam.fish",
}
_MORE = {
    "bash": "with the package bash-completion; without it, put this line into ~/.bashrc: "
            'eval "$(graftcam completion bash)"',
    "zsh": "with these lines in ~/.zshrc: fpath+=(~/.zfunc); autoload -Uz compinit; compinit",
    "fish": "which fish reads by itself",
}  # fmt: skip


@command(
    "graftcam completion bash > ~/.local/share/bash-completion/completions/graftcam",
    "graftcam completion zsh > ~/.zfunc/_graftcam",
    "graftcam completion fish > ~/.config/fish/completions/graftcam.fish",
    'eval "$(graftcam completion bash)"',
)
@click.argument("shell", required=False, type=click.Choice([*_SHELLS]))
def completion(shell: str | None) -> None:
    """Print the script that completes commands in SHELL: bash, zsh or fish.

    Without SHELL it is yours, as $SHELL names it. Then TAB completes commands, options and their
    values: methods, engines, models of torchvision: and timm:, and the layers, outputs and classes
    of the artifact that stands before on the line.
    """
    from click.shell_completion import get_completion_class

    from .completes import VARIABLE
    from .completing import register

    name = shell or Path(os.environ.get("SHELL", "")).name
    if name not in _SHELLS:
        raise GraftcamError(
            f"$SHELL is {name or 'empty'}; name one of {', '.join(_SHELLS)}: "
            "graftcam completion bash"
        )
    register()
    made = get_completion_class(name)
    root = click.get_current_context().find_root()
    assert made is not None
    say(made(root.command, {}, "graftcam", VARIABLE).source(), nl=False)
    if sys.stdout.isatty():
        note(f"\ninstall it: graftcam completion {name} > {_SHELLS[name]}\n({_MORE[name]})")
