"""An `Explanation` has the maps and scores of one image; these modules draw, save and print it.

In: maps and scores. Out: `Explanation`, images, files, text. Imports: `inputs`, and the modules
that it may import.
"""
