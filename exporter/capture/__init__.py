"""This folder captures a model as one flat graph with the values of the target layers.

In: a module with example inputs, or an ONNX file. Out: `Captured`: the graph, its target values,
the open axes. Imports: every folder up to `locate`.
"""
