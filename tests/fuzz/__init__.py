"""Random models, the whole `export` on each, and a judge of its gradient that shares no code.

``make fuzz`` runs thousands and stores what it finds in ``.fuzz``; `make test` runs a few hundred
(tests/operators/test_fuzz.py). A model is drawn as a list of steps (`program`), built as an ONNX
file (`onnx_model`) or a PyTorch module (`torch_model`), exported and judged (`trial`), and if
something is wrong it is made smaller until nothing more can be left out (`shrink`).
"""
