"""The tools are built on `Explainer`: folder jobs, benchmarks, comparisons, Triton.

In: artifacts and folders of images. Out: tables, files, measurements. Imports: everything in
`runtime`.
"""
