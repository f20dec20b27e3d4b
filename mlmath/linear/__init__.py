"""Linear models: one module each."""
