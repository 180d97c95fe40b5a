"""These modules convert the caller's images, classes, regions and weights to arrays.

In: the caller's images and choices. Out: arrays for the artifact's inputs. Imports: `session`, and
the modules that it may import.
"""
