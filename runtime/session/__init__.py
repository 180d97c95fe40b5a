"""A session opens an ONNX file in ONNX Runtime, chooses provider and options, and runs it.

In: a path and options. Out: a session that runs an artifact or a head. Imports: `errors`, `spec`,
`writing`, `onnx_file`, `custody`.
"""
