"""Detectors on photographs and a drawn page: the figures and pictures of ``docs/detectors.md``."""
