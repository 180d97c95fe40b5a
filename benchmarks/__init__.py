"""This folder checks and measures whole models: ``benchmarks.zoo`` and ``benchmarks.run``."""
