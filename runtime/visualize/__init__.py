"""Activation maximisation computes an image that has a high score for a class.

In: a session and a class. Out: the image and the score's curve. Imports: `inputs`, and the modules
that it may import.
"""
