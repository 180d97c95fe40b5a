"""This folder scores maps: how well they name what a model looks at, measured on photographs."""
