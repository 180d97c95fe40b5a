"""This folder leads from class ids to the score and the cotangent that starts the backward pass.

In: the located output and the ids that are fed. Out: the scores, the classes, and the seed.
Imports: every folder up to `differentiate`.
"""
