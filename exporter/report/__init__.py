"""This folder reports an export: as text, as JSON, and as a page.

In: the artifact's metadata and the verdict. Out: a `Report`, Markdown, HTML. Imports: every folder
up to `verify`.
"""
