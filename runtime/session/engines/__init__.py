"""Programs that run ONNX files: ONNX Runtime with its providers and plug-ins, and others.

`table` lists them, `engine` says what each has to give.
"""
