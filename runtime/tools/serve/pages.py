"""These functions answer with the page for people and its files."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from ...page import FILES, INDEX

_NAMES = frozenset(path.name for path in FILES.iterdir()) - {INDEX}
# A new release is seen at once: the browser asks whether its copy is still the same.
_FRESH = {"Cache-Control": "no-cache"}


async def page(_request: Request) -> Response:
    """Answer with the page."""
    return FileResponse(FILES / INDEX, headers=_FRESH)


async def page_file(request: Request) -> Response:
    """Answer with one of the page's modules, styles or its icon."""
    name = request.path_params["file"]
    if name not in _NAMES:
        raise HTTPException(404, f"the page has no file {name[:80]!r}")
    return FileResponse(FILES / name, headers=_FRESH)
