"""Weights and descriptions of samples."""
