"""Sweeps: many settings and seeds, carried out wherever there are workers, with results in one file."""
