"""What people and machines read about an export: text, JSON, and a page.

In: the artifact's record and the verdict. Out: a `Report`, Markdown, HTML. Imports: every folder
up to `verify`.
"""
