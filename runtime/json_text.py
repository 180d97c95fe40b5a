"""`write_json` writes JSON that every reader takes, whatever the names in it.

What reads JSON is `strict_json`.
"""

from __future__ import annotations

import json
from typing import Any

from .plain_text import unicode_only


def write_json(data: Any, **options: Any) -> str:
    r"""Return JSON as ``json.dumps`` with these options, but always of Unicode.

    Half of a surrogate pair, as in the name of a file that is no UTF-8, becomes the text
    ``\udcff``: other readers of JSON refuse it.
    """
    text = json.dumps(data, **options)
    if "\\ud" in text or unicode_only(text) != text:
        text = json.dumps(unicode_only(json.loads(text)), **options)
    # The one control character that JSON leaves as it is.
    return text.replace("\x7f", "\\u007f")
