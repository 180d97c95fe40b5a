"""These functions answer with the page for people and its files."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>graftcam</title>
<h1>graftcam serve</h1>
<p>The service runs. Its interface: <a href="openapi.json">openapi.json</a>;
its models: <a href="api/models">api/models</a>.</p>
</html>
"""


async def page(_request: Request) -> Response:
    """Answer with the page."""
    return HTMLResponse(_PAGE)
