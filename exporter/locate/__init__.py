"""Which layer and which score to explain, and why.

In: a module or a graph. Out: `Candidate` layers in order of preference, the scored value, and the
layout of a layer's output. Imports: `errors`, `graph`, `source`.
"""
