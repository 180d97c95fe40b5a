"""An ONNX graph: reading it, adding nodes, cleaning it up.

In: an ``onnx_ir`` model or value. Out: the same graph rewritten, or an answer about it.
Imports: `errors` only.
"""
