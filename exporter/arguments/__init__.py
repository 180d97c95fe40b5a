"""This folder checks the arguments of `export`, and refuses a wrong value before any work is done.

In: what the caller gave. Out: the settings of the export as one record.
Imports: `errors`, `graph`, `source`, `heatmap`, `artifact`.
"""
