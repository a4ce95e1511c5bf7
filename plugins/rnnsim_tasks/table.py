"""The user's own table: predict a time series from a file."""

from __future__ import annotations

from rnnsim.data.table import TableTask


class Table(TableTask, frozen=True):
    """Predict the rows of your own .csv or .npz file, read as a time series.

    A .csv file has a line of column names, then a line a row. In an .npz file an array ``x`` of shape
    (rows,) is the column ``x``, one of shape (rows, c) the columns ``x[0]``, ``x[1]``...

    At each row the network sees the ``inputs`` and is to give the ``target`` columns ``ahead`` rows
    later; without ``target`` these are the inputs themselves. Each column is standardised by the mean
    and the standard deviation of the rows learnt from: errors are in standard deviations. The last part
    of the rows is ``held_out``. Sequences side by side start at places spread evenly over the rows and
    walk through them; after the last row a sequence goes on at the first one, with a reset.

    It never counts as solved, as nobody can know what would be good, unless ``solved_below`` says so.
    """

    name = "table"
