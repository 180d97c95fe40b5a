"""What an explanation is, how it reads, how it is drawn and saved.

In: maps and scores. Out: `Explanation`, images, files, text. Imports: every folder up to
`methods`.
"""
