"""This folder reads what an ONNX file says before any library opens it.

In: a path. Out: an error of one line, or the files beside it that hold its weights.
Imports: `errors`, `reading`.
"""
