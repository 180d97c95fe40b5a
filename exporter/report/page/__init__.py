"""This folder writes an export's report for people: one self-contained HTML page.

``overlays`` draws the given images as PyTorch and ONNX Runtime explain them, ``content`` makes the
page's texts and numbers, ``failure`` those of an export that failed early, ``write`` renders
``page.html`` and writes the folder.
"""
