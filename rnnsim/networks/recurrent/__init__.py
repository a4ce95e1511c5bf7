"""The recurrent network of theory.md 1."""
