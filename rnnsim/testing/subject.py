"""A rule that is checked: the networks that it can train, and what it is compared with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from rnnsim import registry
from rnnsim.errors import RnnsimError, shown
from rnnsim.network import Network, check_is_network
from rnnsim.rule import Claim, Rule
from rnnsim.testing.cases import STEPS, Case, make_case, networks_of
from rnnsim.typing import Array

Networks = Iterable[str | Network] | None

PATTERNS = 3  # rows for rules that settle, which take many steps for each


@dataclass
class Subject:
    """A rule with networks that it can train, and cases that are made once.

    Attributes
    ----------
    rule : Rule
    networks : dict of Network
        By what tells them apart.
    reference : str
        The name of an exact rule.
    seed : int
    """

    rule: Rule
    networks: dict[str, Network]
    reference: str
    seed: int
    _cases: dict[tuple[str, int], Case] = field(default_factory=dict)
    _exact: dict[tuple[str, int], Array] = field(default_factory=dict)

    @property
    def first(self) -> str:
        """The network on which compiled code is checked: the one that has most, of the rule's kind."""
        fitting = [name for name, network in self.networks.items() if network.feedback == "exact"]
        own = [name for name in fitting if self.networks[name].kind == self.rule.kind]
        return (own or fitting or list(self.networks))[-1]

    def claims(self, name: str) -> Claim:
        """What the rule claims on a network."""
        return self.rule.claim_for(self.networks[name])

    def case(self, name: str, steps: int = STEPS) -> Case:
        """Sequences for a network."""
        steady = self.rule.settles
        key = (name, min(steps, PATTERNS) if steady else steps)
        if key not in self._cases:
            self._cases[key] = make_case(self.networks[name], self.seed, steps=key[1], steady=steady)
        return self._cases[key]

    def exact_rule(self, network: Network) -> str | None:
        """An exact rule that is not the one that is checked, if one trains this network."""
        entries = registry.installed().rules
        for name in (self.reference, *entries):
            thing: type[Rule] = registry.lookup("rule", name)
            fits = thing.claim == "exact" and thing.settles == self.rule.settles
            if fits and not issubclass(thing, type(self.rule)) and trains(thing(), network):
                return name
        return None

    def exact(self, name: str, steps: int = STEPS) -> Array:
        """The exact gradient of a case, by another rule.

        Raises
        ------
        RnnsimError
            If no other rule is exact on this network.
        """
        key = (name, steps)
        if key not in self._exact:
            rule = self.exact_rule(self.networks[name])
            if rule is None:
                raise RnnsimError(f"no other installed rule is exact on a {name} network")
            case = self.case(name, steps)
            if case.network.feedback != "exact":  # the gradient of the same network without it
                case = replace(case, network=case.network.remade(feedback="exact"))
            self._exact[key] = case.flat_gradient(rule)
        return self._exact[key]


def trains(rule: Rule, network: Network) -> bool:
    """Whether a rule accepts a network."""
    try:
        rule.check_network(network)
    except RnnsimError:
        return False
    return True


def subject(
    rule: Any, options: Mapping[str, Any], networks: Networks, reference: str, seed: int
) -> Subject:
    """Make a rule and the networks that it can train.

    Raises
    ------
    RnnsimError
        If there is no such rule, or it can train none of these networks.
    """
    made = made_rule(rule, options)
    exact = registry.lookup("rule", reference)
    if exact.claim != "exact":
        raise RnnsimError(f"reference is a rule that is exact; {reference} is {exact.claim}")
    found = {name: network for name, network in made_networks(networks).items() if trains(made, network)}
    if not found:
        whose = "that are installed" if networks is None else "that are given"
        raise RnnsimError(f"{made.name} can train none of the networks {whose}; it needs one of the "
                          f"kind {' or '.join(made.networks or (made.kind,))}")  # fmt: skip
    return Subject(made, found, reference, seed)


def made_rule(rule: Any, options: Mapping[str, Any]) -> Rule:
    """Make a rule from its name or its class and options, or take one that is made."""
    if isinstance(rule, type) and issubclass(rule, Rule):
        return rule.from_options(options)
    return registry.make_rule(rule, options)


def made_networks(networks: Networks) -> dict[str, Network]:
    """The networks of some kinds, all by default, or those that are given."""
    found: dict[str, Network] = {}
    if networks is not None and (isinstance(networks, str) or not isinstance(networks, Iterable)):
        raise RnnsimError(f"networks is a list of kinds and networks, not {shown(networks)}")
    for given in registry.installed().networks if networks is None else networks:
        if isinstance(given, str):
            found |= networks_of(given)
        else:
            found[f"given {check_is_network(given).kind} {len(found) + 1}"] = given
    return found
