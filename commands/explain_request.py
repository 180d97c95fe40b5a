"""The options of `graftcam explain` become a request, once those that do not fit are refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from .folder import FolderSettings
from .images import Images
from .video_options import VideoSettings
from .words import bank_from

if TYPE_CHECKING:
    from pathlib import Path

    from ..runtime import Request
    from ..runtime.inputs.bank import Bank

_OF_BANK = ("prompts", "bank", "text_encoder", "tokenizer", "templates", "length", "pad")


def refuse_unused(options: Mapping[str, Any]) -> None:
    """Refuse options that would change nothing, whatever the images are.

    Raises:
        click.UsageError: There is one.
    """
    given = click.get_current_context().get_parameter_source
    named = "--class" if options["classes"] else "--prompt"
    if (options["classes"] or options["prompts"]) and given("top") is ParameterSource.COMMANDLINE:
        raise click.UsageError(
            f"--top explains the best-ranked classes, {named} those that it names; leave one out"
        )
    if len({*options["layers"]}) < 2 and given("fuse") is ParameterSource.COMMANDLINE:
        raise click.UsageError("--fuse joins the maps of several layers; give two --layer or more")


def check_options(
    options: Mapping[str, Any], images: Images, of_video: VideoSettings, of_folder: FolderSettings,
    *, panel: bool,
) -> None:  # fmt: skip
    """Refuse options that the images do not take.

    Args:
        options: Those of the command.
        images: What is to be explained.
        of_video: Options of videos.
        of_folder: Options of folders.
        panel: Whether one picture of all maps was asked for.

    Raises:
        click.UsageError: There is one.
    """
    several = len(options["methods"]) > 1
    if images.folder is not None and options["text_encoder"] is not None:
        raise click.UsageError(
            "a folder takes no --text-encoder; encode the prompts once by `graftcam prompts`, and "
            "give --bank"
        )
    if images.are_videos and several:
        raise click.UsageError("a video takes one --method")
    if not images.are_videos and of_video.given:
        raise click.UsageError(f"only a video or a camera takes {', '.join(of_video.given)}")
    if images.folder is None:
        allowed = "--batch" if images.are_videos else ""
        if wrong := [one for one in of_folder.given if one != allowed]:
            raise click.UsageError(f"only a folder of images takes {', '.join(wrong)}")
    elif len(images.called) > 1:
        raise click.UsageError("a folder must be the only one of the IMAGES")
    elif several or panel:
        raise click.UsageError("a folder takes one --method and no --panel")


def bank_of(options: Mapping[str, Any]) -> Bank | Path | None:
    """Return the texts that the images are compared with; see `bank_from`."""
    return bank_from(*(options[name] for name in _OF_BANK))


def request_of(options: Mapping[str, Any], images: Images, bank: Bank | Path | None) -> Request:
    """Return what is asked about each image.

    Args:
        options: Those of the command.
        images: What is to be explained; they know where files must be found.
        bank: Texts to compare with.
    """
    placed = images.placed
    request: Request = {
        "classes": list(options["classes"]) or None,
        "top": options["top"],
        "options": dict(options["settings"]),
        "layer": list(options["layers"]) or None,
        "fuse": options["fuse"],
        "augment": list(options["augment"]),
        "region": placed(options["region"]),
        "box": options["boxes"][0] if options["boxes"] else None,
        "score_weights": placed(options["score_weights"]),
    }
    # A folder's table says what was asked for; these are in it only if they were.
    if options["inputs"]:
        request["inputs"] = {name: placed(one) for name, one in options["inputs"].items()}
    if options["over"]:
        request["over"] = options["over"]
    if options["output"]:
        request["output"] = options["output"]
    if options["tokens"]:
        request["tokens"] = placed(options["tokens"])
    if options["prompts"]:
        request["prompts"] = list(options["prompts"])
    if bank is not None:
        request["bank"] = placed(bank)
    return request
