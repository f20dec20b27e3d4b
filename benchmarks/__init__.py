"""How fast mlmath is beside an established library at equal accuracy: ``python -m benchmarks``."""
