"""Checks and measurements over whole models: ``benchmarks.zoo`` and ``benchmarks.run``."""
