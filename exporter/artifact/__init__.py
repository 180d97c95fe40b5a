"""This folder adds all parts to the graph, and writes the file.

In: a captured graph and what was located. Out: the artifact with its metadata, head files, and a
graph with embedded preprocessing. Imports: every folder up to `heatmap`.
"""
