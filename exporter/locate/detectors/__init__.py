"""Detectors: their formats, recognised from the graph and one more piece of evidence.

`recognise` asks each format's module in turn; all describe what they find as a `Detection`.
"""
