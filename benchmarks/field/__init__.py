"""The field test: real files and models with trained weights, each as a new user would try it."""
