"""`fetch` gets published weights: from the cache of torch.hub, else from the network.

Without a network the error says which file to get, and where to put it.
"""

from __future__ import annotations

import sys
from pathlib import Path
from urllib.parse import urlsplit

from ..errors import CaptureError, first_line
from .checkpoint import read_weights


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
