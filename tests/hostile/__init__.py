"""Mutated inputs for every reader of the project: each is read, or refused in one line.

``make fuzz-input`` tries a hundred thousand and stores what it finds in ``.fuzz-input``; `make
test` tries some hundred, and every file in ``corpus``, which once broke a reader
(tests/runtime/test_hostile_inputs.py, tests/exporter/test_hostile_sources.py). A mutant is a seed
file changed in a few places, by its format where a change of bytes would only be noticed as damage
(`mutate`); `readers` lists what is fed with them, and `trial` judges what comes of it.
"""
