"""Options of rules, tasks and optimizers: typed fields with bounds, validated by msgspec."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, ClassVar, Literal, Self, get_args, get_origin, get_type_hints

import msgspec
import numpy as np

from rnnsim.checks import LARGEST, known_name, real, whole
from rnnsim.errors import RnnsimError, shown

Positive = Annotated[float, msgspec.Meta(gt=0)]
Count = Annotated[int, msgspec.Meta(ge=1)]
WORDS = {"int": "a whole number", "float": "a number", "bool": "true or false",
         "str": "text", "null": "none", "object": "a table", "array": "a list"}  # fmt: skip


def _number(value: Any) -> Any:
    """Give a number of NumPy as Python's, and text such as ``.5`` as ``0.5``, as JSON writes it."""
    if isinstance(value, np.generic):
        return value.item()
    return re.sub(r"^([+-]?)\.(?=\d)", r"\g<1>0.", value) if isinstance(value, str) else value


def explained(message: str) -> tuple[str, str]:
    """A message of msgspec in our words, and the path to what it is about; empty if it says none."""
    what, _, path = message.partition(" - at `$.")
    if not path:
        return what, ""
    what = re.sub(r", got `.*`$", "", what)
    for kind, words in WORDS.items():
        what = re.sub(rf"\b{kind}\b", words, what)
    what = what.replace(" | ", " or ").replace("`", "")
    return f"{what[:1].lower()}{what[1:]}", path.rstrip("`")


@cache
def _fields(options: type[Options]) -> tuple[Any, ...]:
    """The fields of a class, cached: msgspec evaluates all annotations at each call."""
    return msgspec.structs.fields(options)


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """A class with options: its fields, each with its default and its bounds.

    >>> class Delay(Options, frozen=True):
    ...     name = "delay"
    ...     steps: Count = 3
    >>> Delay.from_options({"steps": "5"})
    Delay(steps=5)
    """

    name: ClassVar[str] = ""

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> Self:
        """Make an instance from options by name; text is converted to the type of the option.

        Raises
        ------
        UnknownName
            If there is no option of a name.
        RnnsimError
            If a value has the wrong type or is out of its bounds.
        """
        known = cls.defaults()
        given = {name.replace("-", "_"): value for name, value in options.items()}
        for name in given:
            known_name(f"option of {cls.name}", name, known)
        return cls._converted(given, strict=False)

    def check(self) -> None:
        """Check the options of an instance: a class that is called checks no types and no bounds.

        Raises
        ------
        RnnsimError
            If a value has the wrong type or is out of its bounds.
        """
        fields = _fields(type(self))
        self._converted({field.name: getattr(self, field.name) for field in fields}, strict=True)

    @classmethod
    def _converted(cls, given: Mapping[str, Any], *, strict: bool) -> Self:
        values = {name: _number(value) for name, value in given.items()}
        for name, value in values.items():
            cls._check_size(name, value)
        try:
            made = msgspec.convert(values, cls, strict=strict)
        except msgspec.ValidationError as error:
            if isinstance(error.__cause__, RnnsimError):  # raised by __post_init__
                raise error.__cause__ from None
            raise RnnsimError(cls._explained(str(error), given)) from None
        except (UnicodeError, RecursionError):
            raise RnnsimError(f"option {' or '.join(given)} of {cls.name} is text that is not valid "
                              "Unicode, or holds itself; give another value") from None  # fmt: skip
        for name in given:  # again, as text has become numbers
            cls._check_size(name, getattr(made, name))
        return made

    @classmethod
    def _explained(cls, message: str, given: Mapping[str, Any]) -> str:
        """Write a message of msgspec in our words."""
        what, path = explained(message)
        if not path:  # an error of several options together
            return what
        name = path.split("[")[0]
        if choices := cls.choices_of(name):
            what = f"it is one of {', '.join(choices)}"
        value = shown(given.get(name))
        return f"option {name} of {cls.name} is {value}: {what}"

    @classmethod
    def _check_size(cls, name: str, value: Any) -> None:
        """Refuse numbers that no kernel can compute with, whatever the bounds of the option."""
        if isinstance(value, int):
            whole(f"option {name} of {cls.name}", value, -LARGEST, LARGEST)
        elif isinstance(value, float):
            real(f"option {name} of {cls.name}", value)

    @classmethod
    def choices_of(cls, option: str) -> tuple[str, ...]:
        """The values of an option that is a choice, else none."""
        hint = get_type_hints(cls).get(option)
        return tuple(map(str, get_args(hint))) if get_origin(hint) is Literal else ()

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        """Give the names and the default values of the options."""
        return {
            field.name: field.default
            if field.default is not msgspec.NODEFAULT
            else field.default_factory()
            for field in _fields(cls)
        }

    @classmethod
    def describe(cls) -> dict[str, str]:
        """Give each option's description, from its ``Meta``."""
        found = {}
        for name, hint in get_type_hints(cls, include_extras=True).items():
            for meta in getattr(hint, "__metadata__", ()):
                if isinstance(meta, msgspec.Meta) and meta.description:
                    found[name] = meta.description
        return found

    @classmethod
    def summary(cls) -> str:
        """The first line of the docstring."""
        return (cls.__doc__ or "").strip().split("\n")[0].rstrip(".")
