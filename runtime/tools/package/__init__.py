"""Artifacts in the layouts that servers load; `layout` is what they have in common."""
