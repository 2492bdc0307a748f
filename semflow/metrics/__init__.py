"""Scores for masks and images; import the submodule you need, none is imported here."""
