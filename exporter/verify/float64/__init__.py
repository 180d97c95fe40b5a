"""Heads in float64: their scores, and directional finite differences of them."""
