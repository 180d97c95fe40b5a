"""These modules do the steps of an explanation in order, with as few session runs as possible.

In: a request and images. Out: explanations. Imports: every folder up to `output`.
"""
