"""This folder evaluates maps where the truth is known, and compares measures with other packages."""
