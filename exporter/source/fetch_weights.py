"""`fetch` and `in_hub_cache` find published weights: in their library's cache, or on the network.

Without a network the error says which file to get, and where to put it.
"""

from __future__ import annotations

import sys
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from ..errors import CaptureError, first_line
from .checkpoint import read_weights

_SECONDS = 10  # until a server that does not answer counts as out of reach


def in_hub_cache(repository: str, file: str) -> Path | None:
    """Return a file of Hugging Face from its cache on this machine; None if it is not there."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(repository, file)
    return Path(found) if isinstance(found, str) else None


def check_reachable(url: str) -> None:
    """Raise OSError if the server of an address is out of reach.

    Hugging Face's own client tries for most of a minute, and says so line by line.
    """
    try:
        urlopen(Request(url, method="HEAD"), timeout=_SECONDS).close()
    except HTTPError:
        return  # which its server sent


def fetch(url: str, what: str) -> Path:
    """Return the local file of published weights, downloaded if it is not there.

    torchvision then finds it there itself. Weights that could run code are refused.

    Args:
        url: Its address; its name ends in the first digits of its SHA-256.
        what: The weights, for messages.

    Raises:
        CaptureError: It cannot be downloaded, or holds no weights.
    """
    import torch

    place = Path(torch.hub.get_dir(), "checkpoints", Path(urlsplit(url).path).name)
    if not place.is_file():
        digits = place.stem.rpartition("-")[2]
        shown = sys.stderr.isatty()
        if shown:
            print(f"fetching {url}", file=sys.stderr)
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(url, str(place), digits, progress=shown)
        except Exception as error:
            raise CaptureError(
                f"cannot fetch {what} ({first_line(error)}); get {url} and put it at {place}"
            ) from error
    try:
        read_weights(place)
    except CaptureError as error:
        raise CaptureError(f"{error}; delete it, or put {url} there") from error
    return place
