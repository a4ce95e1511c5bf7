"""What a run keeps of its data, as plain values: what a model of them needs for other rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from rnnsim.data.cells import Style
from rnnsim.data.linear import LinearPath
from rnnsim.data.on_line import OnLinePreparation, on_line_from, state_as_data, state_from
from rnnsim.data.preparation import Choices, Preparation
from rnnsim.data.roles import Roles
from rnnsim.data.scaling import Scaling
from rnnsim.data.series import Feature
from rnnsim.data.simple import Simple, simple_as_data, simple_from


class Facts(NamedTuple):
    """What a model needs of the data that it was made for, to be used with other rows.

    Attributes
    ----------
    roles : Roles
    preparation : Preparation
        By which a network learns.
    final : Preparation
        By which it forecasts (:func:`rnnsim.data.preparation.preparation_of`).
    rows : tuple of three int
        How many rows are learnt, for validation and for the test, with those that the state comes from.
    baseline : float
        See :func:`rnnsim.data.pairs.baseline`.
    masks_outputs : bool
        Whether single outputs of a target may be missing.
    simple : Simple
        What simple forecasters found.
    """

    roles: Roles
    preparation: Preparation
    final: Preparation
    rows: tuple[int, int, int]
    baseline: float
    masks_outputs: bool
    simple: Simple


def facts_as_data(facts: Facts) -> dict[str, Any]:
    """Facts as plain values and arrays."""
    roles, made, final = facts.roles, facts.preparation, facts.final
    found = {
        "rows": facts.rows,
        "baseline": facts.baseline,
        "masks_outputs": facts.masks_outputs,
        "simple": simple_as_data(facts.simple),
        "roles": {
            "inputs": roles.inputs, "targets": roles.targets, "time": roles.time or "",
            "sequence": roles.sequence or "", "left_out": list(roles.left_out.items()),
            "classes": roles.classes, "notes": roles.notes, "units": list(roles.units.items()),
            "form": roles.form, "style": roles.style,
        },
        "features": [[one.column, *([] if one.category is None else [one.category])]
                     for one in made.features],
        "targets": made.targets,
        "is_class": made.is_class,
        "choices": made.choices._asdict(),
        "inputs_scaling": made.inputs_scaling._asdict(),
        "indicators": made.indicators,
        "rest": made.rest._asdict(),
    }  # fmt: skip
    if isinstance(made, OnLinePreparation) and isinstance(final, OnLinePreparation):
        found["begin"], found["end"] = state_as_data(made.state), state_as_data(final.state)
    if made.path is not None and final.path is not None:
        found["path"], found["final_path"] = made.path._asdict(), final.path._asdict()
        found["changes"], found["path_begins"] = made.changes, made.path_begins
    return found


def facts_from(data: Mapping[str, Any]) -> Facts:
    """Facts of such values.

    Raises
    ------
    KeyError, TypeError, ValueError
        If they are not those of facts.
    """
    roles = dict(data["roles"])
    names = {name: tuple(roles[name]) for name in ("inputs", "targets", "notes")}
    optional = {name: roles[name] or None for name in ("time", "sequence")}
    told = {name: dict(map(tuple, roles[name])) for name in ("left_out", "units")}
    choices = Choices(**{**data["choices"], "horizons": tuple(data["choices"]["horizons"])})
    learnt, validation, test = map(int, data["rows"])
    has_path = "path" in data
    preparation = Preparation(
        features=tuple(Feature(*one) for one in data["features"]),
        targets=tuple(data["targets"]),
        is_class=bool(data["is_class"]),
        choices=choices,
        inputs_scaling=Scaling(**data["inputs_scaling"]),
        indicators=data["indicators"],
        rest=Scaling(**data["rest"]),
        path=LinearPath(**data["path"]) if has_path else None,
        changes=data["changes"] if has_path else None,
        path_begins=has_path and bool(data["path_begins"]),
    )
    final = replace(preparation, path=LinearPath(**data["final_path"])) if has_path else preparation
    if "end" in data:
        final = on_line_from(preparation, state_from(data["end"]))
        preparation = on_line_from(preparation, state_from(data["begin"]))
    return Facts(
        roles=Roles(**{**roles, **names, **optional, **told, "style": Style(*roles.get("style", ()))}),
        preparation=preparation,
        final=final,
        rows=(learnt, validation, test),
        baseline=float(data["baseline"]),
        masks_outputs=bool(data["masks_outputs"]),
        simple=simple_from(data["simple"]),
    )
