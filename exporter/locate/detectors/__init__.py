"""Detectors: their formats, recognised from the graph and one more piece of evidence.

`recognise` asks each module in ``formats`` in turn; all describe what they find as a `Detection`.
They read ``tables`` of numbers in the graph; ``layers`` finds the target layers of each level.
"""
