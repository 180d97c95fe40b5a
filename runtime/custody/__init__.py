"""The chain of custody shows whether files are as they were exported, and who signed them.

In: an artifact's files, unopened. Out: digests, signatures, a bill of materials. Imports: `errors`,
`records`, `spec`, `writing`, `onnx_file`.
"""
