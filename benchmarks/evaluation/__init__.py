"""This folder evaluates maps where the truth is known, and measures beside other packages."""
