"""The shell: the only room that knows every method by name."""
