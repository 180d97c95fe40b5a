"""This folder reads an ONNX graph, adds nodes to it and cleans it up.

In: an ``onnx_ir`` model or value. Out: the same graph rewritten, or an answer about it.
Imports: `errors` only.
"""
