"""The demo is a small model that finds digits, its images and the script that trained it."""
