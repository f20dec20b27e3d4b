"""Minimisation of functions, with certificates."""
