"""A method makes raw maps from the tensors of an artifact.

In: a batch of images with its session, or activations and gradients. Out: maps [N, K, *space].
Imports: every folder up to `inputs`. `table` lists all methods and `dispatch` runs one of them.
Formulas of activations and gradients need numpy alone; the exporter writes the same formulas into
its graphs.

    from graftcam.runtime import METHODS

    maps = METHODS["layercam"](activations, gradients)
"""
