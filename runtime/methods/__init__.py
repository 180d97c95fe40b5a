"""From tensors of an artifact to raw maps.

In: a question to an artifact, or activations and gradients. Out: maps [N, K, *space]. `table` says
what each method is, and `dispatch` answers a question by one of them. Formulas of activations and
gradients need numpy alone; the exporter writes the same ones into its graphs. Imports: every folder
up to `inputs`.

    from graftcam.runtime import METHODS

    maps = METHODS["layercam"](activations, gradients)
"""
