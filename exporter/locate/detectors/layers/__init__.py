"""A detector's target layers, found by the structure of its graph."""
