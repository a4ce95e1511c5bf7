"""Targets that are classes: categories, booleans, or a column of 0 and 1 for each class."""

from __future__ import annotations

import numpy as np

from rnnsim.data.columns import BOOLEAN, CATEGORY, Column, Columns, is_one_hot
from rnnsim.data.roles import Roles
from rnnsim.errors import RnnsimError
from rnnsim.typing import Array

MOST_CLASSES = 1000
WORDS = ("false", "true")  # of a boolean


def classes_of(columns: Columns, targets: tuple[str, ...]) -> tuple[str, ...]:
    """The names of the classes that target columns tell.

    Raises
    ------
    RnnsimError
        If they tell no classes, or too many.
    """
    of_targets = [columns.columns[name] for name in targets]
    if is_one_hot(of_targets):
        return targets
    if len(targets) > 1:
        raise RnnsimError(
            f"{', '.join(targets)}: one column of classes is learnt at a time, or columns of 0 and 1 "
            "with a single 1 in each row"
        )
    found = _texts(of_targets[0])
    if not 2 <= len(found) <= MOST_CLASSES:
        raise RnnsimError(
            f"{columns.source}: {targets[0]} has {len(found):,} classes; there are 2 to {MOST_CLASSES:,}"
        )
    return found


def _texts(column: Column) -> tuple[str, ...]:
    """What a column's values are called: those that occur, sorted."""
    return tuple(text for _, text in _values_and_texts(column))


def _values_and_texts(column: Column) -> list[tuple[float, str]]:
    if column.kind in (CATEGORY, BOOLEAN):
        return list(enumerate(WORDS if column.kind == BOOLEAN else column.categories))
    values = np.unique(column.values[np.isfinite(column.values)])
    return [(float(value), f"{value:.15g}") for value in values]


def class_index(columns: Columns, targets: tuple[str, ...], classes: tuple[str, ...]) -> Array:
    """The index of each row's class (rows,); nan where it is missing, or none of these classes."""
    of_targets = [columns.columns[name] for name in targets]
    if len(targets) > 1:
        values = np.stack([one.values for one in of_targets], axis=1)
        return np.where(np.isnan(values).any(axis=1), np.nan, np.nan_to_num(values).argmax(axis=1))
    column = of_targets[0]
    places = {name: place for place, name in enumerate(classes)}
    index = np.full(len(column.values), np.nan)
    for value, text in _values_and_texts(column):
        if text in places:
            index[column.values == value] = places[text]
    return index


def target_columns(columns: Columns, roles: Roles, classes: tuple[str, ...]) -> list[Array]:
    """The targets as numbers, (rows,) each: those of the columns, or the index of the class."""
    if classes:
        return [class_index(columns, roles.targets, classes)]
    for name in roles.targets:
        if columns.columns[name].kind == CATEGORY:
            raise RnnsimError(
                f"{columns.source}: {name} holds text; as a target it is learnt by kind=class"
            )
    return [columns.columns[name].values for name in roles.targets]
