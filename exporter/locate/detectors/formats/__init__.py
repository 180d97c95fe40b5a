"""The formats of detectors, a module for each, and what is refused."""
