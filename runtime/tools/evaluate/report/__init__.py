"""This folder summarises scores, and says, draws and advises what they mean."""
