"""This folder reads the user's arguments: a module, a file, a name, a training transform.

In: command-line words and Python objects. Out: a module or a path, its layers and outputs, and a
`Preprocess`. Imports: `errors`, `graph`.
"""
