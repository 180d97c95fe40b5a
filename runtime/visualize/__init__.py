"""Activation maximisation: an image that a class score is high for.

In: a session and a class. Out: the image and the score's curve. Imports: every folder up to
`explain`.
"""
