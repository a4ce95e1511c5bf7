"""The task ``table``: forecast your own data, or tell their classes."""

from __future__ import annotations

from rnnsim.data.table_task import TableTask


class Table(TableTask, frozen=True):
    """Forecast the rows of your own data, or tell their classes: a file, an array, a frame, sequences.

    At each row the network sees the ``inputs`` and forecasts the ``target`` columns ``ahead`` rows on;
    without ``target`` these are the inputs themselves. A target of text or of true and false is a class,
    by default of the same row (``ahead=0``), with ``target_at=end`` of the whole sequence.

    The rows come in three parts: the first are learnt, the next are for ``validation``, by which it is
    chosen when to stop and which weights are kept, and the last are the ``test``, by which nothing is
    chosen. All that is found in the data (means, standard deviations) is found in the learnt part. The
    sequences of a batch start at rows that are evenly spaced and proceed row by row; after the last row
    a sequence continues at the first one, with a reset.

    Beside the network stands a linear autoregression, whose rest the network learns (``linear=false``:
    all of it); validation rows say how far the network is then followed. With ``on_line=true`` each row
    is forecast before it is learnt, once, and the second half of the rows is the test. How good
    forecasts are, beside those of simple methods, a run says at its end, in the columns' units.

    It never counts as solved unless ``solved_below`` sets a threshold, as none suits every data set.
    """

    name = "table"
