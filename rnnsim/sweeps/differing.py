"""What tells the cells of a file apart, besides what their plan varies.

A file may hold the results of several plans: with other settings, of data that have changed under the
same name, of another version of a plugin. Cells that look alike are then told apart by what they differ
by, so that they are not ranked, drawn or read as if they were of one setting.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from rnnsim.sweeps.store import Cell
from rnnsim.training.as_data import PLAIN

DATA, RATE = "data", "settings.learning_rate"
FIRST = (DATA, "task", "rule", "network", "optimizer", "settings.steps", "settings.window", "settings")
LAST = "settings.keep"  # with which defaults change
DERIVED = ("task.facts.", "task.options.data.")  # from the data, of which there is a digest

OPTIONS, PATH = "task.options.", "task.options.path"

Leaves = Mapping[str, Any]


def told_apart(cells: Sequence[Cell]) -> list[Cell]:
    """Let cells of the same rule, task and varied settings have what else they differ by as settings.

    No more of them than that takes, the main ones first; so have the other rules at that task. A
    learning rate is none of them: it has a column of its own.

    Parameters
    ----------
    cells : sequence of Cell
        In any order, of any role.

    Returns
    -------
    list of Cell
        The same, some with more in ``varied``.
    """
    alike: dict[tuple[str, ...], list[int]] = {}
    for i, cell in enumerate(cells):
        if cell.experiment:
            alike.setdefault((cell.label, cell.task, cell.rule, _text(cell.varied)), []).append(i)
    paths: dict[tuple[str, str], dict[str, None]] = {}  # of each task, in their order
    for (label, task, *_), group in alike.items():
        if len({repr(cells[i].experiment) for i in group}) > 1:
            telling = _telling([dict(_leaves(cells[i].experiment)) for i in group])
            paths.setdefault((label, task), {}).update(dict.fromkeys(telling))
    if not any(paths.values()):
        return list(cells)
    shown = _Shown()
    return [_with_settings(cell, paths.get((cell.label, cell.task), ()), shown) for cell in cells]


def name_with_settings(cell: Cell) -> str:
    """The task of a cell, with those of its settings that make it another task: of data, and which.

    Their losses cannot be compared; of a task that makes its data, the name says its options.
    """
    options = cell.experiment.get("task", {}).get("options", {})
    own = [f"{name}={value}" for name, value in cell.varied.items() if name in {DATA, *options}]
    return ", ".join([cell.task, *own])


def _with_settings(cell: Cell, paths: Iterable[str], shown: _Shown) -> Cell:
    if not paths or not cell.experiment:
        return cell
    own = dict(_leaves(cell.experiment))
    more = {_name(path): shown.value(path, own) for path in paths if path in own}
    return cell._replace(varied={**more, **cell.varied})


def _telling(leaves: Sequence[Leaves]) -> list[str]:
    """The paths by which some cells differ."""
    found, labels = list[str](), [""] * len(leaves)
    for path in sorted(dict.fromkeys(path for own in leaves for path in own), key=_place):
        values = [repr(own.get(path)) for own in leaves]
        if len(set(values)) == 1:
            continue
        with_it = [label + value for label, value in zip(labels, values)]
        if len(set(with_it)) > len(set(labels)):
            found.append(path)
            labels = with_it
    return found


def _place(path: str) -> int:
    """The main ones come first, versions last."""
    if path.startswith(LAST):
        return len(FIRST)
    owners = [i for i, owner in enumerate(FIRST) if f"{path}.".startswith(f"{owner}.")]
    return owners[0] if owners else len(FIRST) + 1


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """The values in nested tables, by the names that lead to them."""
    if path == RATE and not isinstance(value, Mapping):
        return
    if isinstance(value, Mapping) and value.keys() != {"array"} and path != RATE:
        for name, part in value.items():
            yield from _leaves(part, f"{path}.{name}" if path else name)
    elif not f"{path}.".startswith(DERIVED) and value is not None:
        yield path, value


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)


def _name(path: str) -> str:
    """What a path is called where a name is enough; the name of a rule and the like is that."""
    owner, _, rest = path.partition(".")
    return owner if not rest or rest == "name" else rest.rpartition(".")[2]


def _is_plain_table(value: Any) -> bool:
    """Whether it is a table of plain values, and no digest of an array."""
    is_table = isinstance(value, Mapping) and value.keys() != {"array"}
    return is_table and all(isinstance(part, PLAIN) for part in value.values())


class _Shown:
    """Values as they are shown: which one it is, where it is long, such as an array."""

    def __init__(self) -> None:
        self._numbers: dict[str, dict[str, int]] = {}

    def value(self, path: str, leaves: Leaves) -> Any:
        value, among = leaves[path], path
        if path != DATA and isinstance(value, PLAIN):
            return value
        if isinstance(value, list) and all(isinstance(part, PLAIN) for part in value):
            return ",".join(map(str, value))
        if _is_plain_table(value):
            return ",".join(f"{name}={part}" for name, part in value.items())
        if path == DATA:  # as they are prepared, which depends on options
            options = {name: leaves[name] for name in leaves if name.startswith(OPTIONS)}
            among += _text({name: options[name] for name in options if name != PATH})
        numbers = self._numbers.setdefault(among, {})
        return numbers.setdefault(_text(value), len(numbers) + 1)
