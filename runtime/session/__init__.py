"""ONNX Runtime: opening a file, choosing providers and options, running it.

In: a path and options. Out: a session that runs an artifact or a head. Imports: `errors`, `spec`,
`writing`, `inorder`.
"""
