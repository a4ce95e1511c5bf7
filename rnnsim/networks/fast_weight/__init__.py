"""The fast-weight network of theory.md 2."""
