"""The table of the commands: their names and first sentences, without their modules."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from importlib import import_module

import click

SUMMARIES = {
    "bench": "Measure what explaining costs with the artifact MODEL.",
    "cache": "List the artifacts that `graftcam explain` made of ONNX files and named models.",
    "completion": "Print the script that completes commands in SHELL: bash, zsh or fish.",
    "concepts": "Write the concepts that a layer sees in all IMAGES together (files or folders).",
    "demo": "Export an ImageNet model, verify it, and explain photographs: yours, or the "
            "demo's own.",
    "diff": "Compare where artifacts FIRST and SECOND look, on IMAGES (files or folders).",
    "evaluate": "Score maps of methods and layers on IMAGES: one folder, or photographs.",
    "explain": "Write images that show where a model saw its classes in the IMAGES.",
    "export": "Write an artifact from SOURCE: one ONNX file that predicts and explains.",
    "inspect": "Show the metadata of the artifact MODEL: layers, score, inputs and outputs, "
               "verification.",
    "layers": "List the layers of SOURCE that can be explained, the automatic choice first.",
    "ops": "List the ONNX operators: with a gradient rule, without a derivative, or refused and "
           "why.",
    "optimize": "Save the artifact MODEL in ONNX Runtime's optimised form, which loads faster.",
    "package": "Write the artifact MODEL and its configuration in the layout that a server loads.",
    "page": "Write a page that explains images with MODEL in the browser, as static files.",
    "prompts": "Write a bank of prompts: their embeddings by TEXT_ENCODER, an ONNX file.",
    "report": "Join the verifications of a release's models in one page: which of them may ship, "
              "and why.",
    "serve": "Serve artifacts over HTTP: a page for people, an API for programs.",
    "shrink": "Write a copy of ARTIFACT with its forward part in int8 or float16; gradients stay "
              "float32.",
    "sign": "Sign ARTIFACT with its heads and weights, in the OpenSSF model signing format.",
    "verify": "Check whether ARTIFACT may ship: exit code 0 if it may, 1 if not, with the reasons.",
    "visualize": "Compute the image that maximises a class, a channel, a unit or a text of the "
                 "artifact MODEL.",
}  # fmt: skip
"""The first sentence of each command's help; tests compare them."""


class Commands(MutableMapping[str, click.Command]):
    """The commands by name; each is imported when it is asked for, from the module of its name."""

    def __init__(self) -> None:
        self._known: dict[str, click.Command | None] = dict.fromkeys(SUMMARIES)

    def __getitem__(self, name: str) -> click.Command:
        command = self._known[name]
        if command is None:
            command = getattr(import_module(f".{name}", __package__), name)
            self._known[name] = command
        return command

    def __setitem__(self, name: str, command: click.Command) -> None:
        self._known[name] = command

    def __delitem__(self, name: str) -> None:
        del self._known[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)
