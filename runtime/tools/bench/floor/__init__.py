"""The floor: the multiplications and bytes of a run's nodes, and their share of the peak.

In: ONNX Runtime's profile of a run and the graph that it optimised.
Out: a table by part and operator, and where the time above the floor goes.
"""
