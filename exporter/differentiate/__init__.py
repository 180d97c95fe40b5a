"""This folder differentiates an ONNX graph in reverse mode.

In: a graph, a scored value and target values. Out: nodes that compute the gradient of the score
with respect to each target. `plan` says which nodes are differentiated, `backward` walks back
through them and calls their rules, which take and give a `cotangent`. `registry` holds the rules of
`rules/`; the arithmetic that they share is in `support/`. Imports: every folder up to `capture`.
"""
