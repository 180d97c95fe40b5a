"""This folder writes the maps, from activations and gradients, into the graph.

In: activations and gradients as graph values. Out: the Grad-CAM heatmap, the heatmaps of other
methods, gradients of the input. Imports: every folder up to `score`, and the formulas of
`runtime.methods`, which `graph_operations` writes as nodes.
"""
