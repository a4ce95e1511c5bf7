"""The task ``table``: predict a time series from the user's own file."""

from __future__ import annotations

from rnnsim.data.table import TableTask


class Table(TableTask, frozen=True):
    """Predict the rows of your own .csv or .npz file, read as a time series.

    A .csv file has a line of column names, then a line for each row. In an .npz file an array ``x`` of
    shape (rows,) is the column ``x``, one of shape (rows, c) the columns ``x[0]``, ``x[1]``...

    At each row the network sees the ``inputs`` and predicts the ``target`` columns ``ahead`` rows later;
    without ``target`` these are the inputs themselves. Each column is standardised by the mean and the
    standard deviation of the training rows: errors are in standard deviations. The last part of the rows
    is ``held_out``. The sequences of a batch start at rows that are evenly spaced and proceed row by
    row; after the last row a sequence continues at the first one, with a reset.

    It never counts as solved unless ``solved_below`` sets a threshold, as none suits every data set.
    """

    name = "table"
