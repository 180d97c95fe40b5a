"""This folder finds the layer and the score to explain, and gives the reasons.

In: a module or a graph. Out: `Candidate` layers in order of preference, the scored value, and the
layout of a layer's output. Imports: `errors`, `graph`, `source`.
"""
