"""Whole runs: training, progress, figures, sweeps over seeds, and ahead-of-time compilation."""
