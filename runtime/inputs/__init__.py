"""What an artifact is fed: images, classes, regions, score weights.

In: what the caller gave. Out: arrays for the artifact's inputs. Imports: `session` and what comes
before it.
"""
