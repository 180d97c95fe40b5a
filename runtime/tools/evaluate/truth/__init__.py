"""This folder compares maps with boxes and masks that people drew."""
