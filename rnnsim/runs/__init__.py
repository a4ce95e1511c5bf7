"""Whole runs, kept and drawn, and many of them."""
