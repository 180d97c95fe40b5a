"""This folder does the arithmetic that rules share: windows, strides, resampling, interpolation.

In: a node and its values. Out: values, or plain numbers about the node. Imports: `registry`,
`cotangent` and the folders that `differentiate` may import.
"""
