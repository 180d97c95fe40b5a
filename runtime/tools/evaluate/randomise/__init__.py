"""This folder shuffles the weights in an artifact, and measures how its maps change."""
