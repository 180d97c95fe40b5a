"""The page for people: one page, which explains in the browser itself or by `graftcam serve`.

In: artifacts and images. Out: a folder of static files; `FILES` are what all such pages share.
Imports: `custody`, `inputs`, and the modules that they may import.

``index.html`` loads ``remote.js``, which asks the service; in a static folder it loads
``local.js``, which runs the artifact by onnxruntime-web. Everything else is the same.
"""

from __future__ import annotations

from pathlib import Path

FILES = Path(__file__).parent / "files"
"""The folder of the page's HTML, CSS, JavaScript and icon, all side by side."""
INDEX = "index.html"
"""The page itself; it names the others as ``page/NAME``."""
