"""Data that are given from Python, as an option of a task: read once, and kept with a run if small."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Self

from rnnsim.data.columns import Column, Columns
from rnnsim.errors import RnnsimError

KEPT = "kept"  # the key of data as plain values and arrays
MOST = 8 << 20  # bytes that are kept with a run, at every checkpoint of it


class Given:
    """The columns of data that were given; later changes of them are not seen.

    Attributes
    ----------
    name : str
        What they were.
    """

    def __init__(self, name: str, columns: Columns | None) -> None:
        self.name, self._columns = name, columns

    @property
    def columns(self) -> Columns:
        """What was read.

        Raises
        ------
        RnnsimError
            If the data were not kept with the run that has this task.
        """
        if self._columns is None:
            raise RnnsimError(
                f"this run was given {self.name} from Python, which is not in its folder; give the data "
                "again: rnnsim.repeat(folder, data=...)"
            )
        return self._columns

    def __reduce__(self) -> tuple[Any, ...]:
        columns = self._columns
        if columns is not None:  # where rows were read is not for another process
            columns = replace(columns, place=Columns.place)
        return type(self), (self.name, columns)

    def __repr__(self) -> str:
        return f"<{self.name}>"

    def as_data(self) -> dict[str, Any]:
        """Plain values and arrays; of large data only what they were."""
        return {KEPT: self._as_data()}

    def _as_data(self) -> dict[str, Any]:
        columns = self._columns
        if columns is None or sum(one.values.nbytes for one in columns.columns.values()) > MOST:
            return {"name": self.name}
        return {
            "name": self.name,
            "rows": columns.rows,
            "lengths": columns.lengths,
            "names": columns.names,
            "columns": [
                {"name": one.name, "kind": one.kind, "values": one.values,
                 "categories": one.categories, "remark": one.remark}
                for one in columns.columns.values()
            ],
        }  # fmt: skip

    @classmethod
    def of_data(cls, data: Mapping[str, Any]) -> Self:
        """Data of such values.

        Raises
        ------
        KeyError, TypeError, ValueError
            If they are not those of data.
        """
        if "columns" not in data:
            return cls(str(data["name"]), None)
        columns = [
            Column(one["name"], one["kind"], one["values"], tuple(one["categories"]), one["remark"])
            for one in data["columns"]
        ]
        made = Columns(
            source=data["name"], columns={one.name: one for one in columns}, rows=int(data["rows"]),
            lengths=tuple(data["lengths"]), names=tuple(data["names"]),
        )  # fmt: skip
        if any(one.values.shape != (made.rows,) for one in columns) or sum(made.lengths) != made.rows:
            raise ValueError(f"{data['name']} has columns of other lengths than {made.rows} rows")
        return cls(made.source, made)
