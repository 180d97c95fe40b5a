"""The file: what is added to the graph, and how it is written.

In: a captured graph and what was located. Out: the artifact with its metadata, head files, and a
graph with embedded preprocessing. Imports: every folder up to `heatmap`.
"""
