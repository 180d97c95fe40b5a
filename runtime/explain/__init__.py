"""The steps of an explanation in order.

In: a request and images. Out: explanations, with as few runs as possible. Imports: every folder
up to `output`.
"""
