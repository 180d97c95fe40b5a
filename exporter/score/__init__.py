"""From class ids to the score and the cotangent that the backward pass starts with.

In: the located output and the ids that are fed. Out: the scores, the classes, and the seed.
Imports: every folder up to `differentiate`.
"""
