"""The report of an export that a person looks at: one self-contained HTML page.

``overlays`` draws the given pictures as PyTorch and as ONNX Runtime explain them, ``content`` puts
what the page says into words and numbers, ``write`` renders ``page.html`` and writes the folder.
"""
