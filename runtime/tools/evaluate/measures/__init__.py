"""This folder computes measures of maps from the changed scores of changed images."""
