"""Reverse-mode differentiation of an ONNX graph.

In: a graph, a scored value and target values. Out: nodes that compute the gradient of the score
with respect to each target. `registry` holds the rules in `rules/`, which use the arithmetic in
`support/`; `backward` walks the graph. Imports: every folder up to `capture`.
"""
