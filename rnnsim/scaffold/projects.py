"""Writes the folder of a new plugin: one file with the plugin, its tests, and what installs it."""

from __future__ import annotations

import keyword
import os
import re
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from string import Template

from rnnsim import checks, registry
from rnnsim.errors import RnnsimError, shown, shown_path

NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
LONGEST = 40  # letters of a name
SUFFIXES = {"rule": "", "task": "_task", "network": "_network"}  # of the module
WRITTEN = {  # the files of a project, and the templates that they are made from
    "{module}.py": "{kind}/module.py.template",
    "test_{module}.py": "{kind}/test.py.template",
    "README.md": "{kind}/README.md.template",
    "pyproject.toml": "pyproject.toml.template",
}


def new_project(kind: str, name: str, folder: str | os.PathLike[str] | None = None) -> list[Path]:
    """Write the project of a new plugin that can be installed, runs, and passes its own tests.

    Parameters
    ----------
    kind : "rule", "task" or "network"
    name : str
        By which users will choose it: lower-case words joined by hyphens.
    folder : path, optional
        Which does not exist yet, or is empty; by default one of this name, here.

    Returns
    -------
    list of Path
        The files: the plugin itself first.

    Raises
    ------
    RnnsimError
        If the name cannot be one of a plugin, or is taken, or the folder holds something.
    """
    module = _module_for(kind, name)
    texts = rendered(kind, name, module)
    place = _empty_folder(name if folder is None else folder)
    place.mkdir(parents=True, exist_ok=True)
    paths = []
    for file, text in texts.items():
        path = place / file
        with path.open("x", encoding="utf-8") as opened:
            opened.write(text)
        paths.append(path)
    return paths


def rendered(kind: str, name: str, module: str) -> dict[str, str]:
    """The files of a project with their texts."""
    values = {"kind": kind, "name": name, "module": module}
    templates = files("rnnsim.scaffold") / "templates"
    texts = {
        file.format(**values): (templates / source.format(**values)).read_text("utf-8")
        for file, source in WRITTEN.items()
    }
    values["class_name"] = _class_name(kind, name, texts[f"{module}.py"])
    return {file: Template(text).substitute(values) for file, text in texts.items()}


def _class_name(kind: str, name: str, source: str) -> str:
    """What the class is called in a source: the name in capitals, and the kind where it needs one."""
    capitals = "".join(part.capitalize() for part in name.split("-"))
    if kind == "network" or f"class {capitals}(" in source:
        capitals += kind.capitalize()
    return capitals


def _module_for(kind: str, name: str) -> str:
    """The module of a plugin of this name.

    Raises
    ------
    RnnsimError
        If it cannot have the name, or something else has it.
    """
    if not (isinstance(name, str) and len(name) <= LONGEST and NAME.fullmatch(name)):
        raise RnnsimError(f"name is {shown(name)}; it is lower-case letters and digits, words being "
                          "joined by hyphens, such as my-rule")  # fmt: skip
    taken = registry.installed().of(kind)
    if name in taken:
        origin = f"{taken[name].distribution} {taken[name].version}"
        raise RnnsimError(f"there is a {kind} {name} already, of {origin}; give another name")
    module = name.replace("-", "_") + SUFFIXES[kind]
    if keyword.iskeyword(module):
        raise RnnsimError(f"name is {name}, a word of Python, which no module is called; give another")
    if (spec := find_spec(module)) is not None:
        where = f" ({shown_path(spec.origin)})" if spec.origin else ""
        raise RnnsimError(f"name is {name}, but there is a module {module} already{where}; give another")
    return module


def _empty_folder(folder: str | os.PathLike[str]) -> Path:
    """The folder of the project.

    Raises
    ------
    RnnsimError
        If it is a file, or holds something.
    """
    place = checks.path("folder", folder)
    if place.is_dir():
        if any(place.iterdir()):
            raise RnnsimError(
                f"{shown_path(place)} is not empty; give a folder that is, or is not there"
            )
    elif os.path.lexists(place):
        raise RnnsimError(f"{shown_path(place)} is a file; give a folder that is empty, or is not there")
    return place
