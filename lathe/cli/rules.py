"""Rules of quality on the command line: ``RULE=VERDICT`` or ``RULE=VERDICT:LIMIT``."""

from collections.abc import Mapping, Sequence
from math import isfinite

import click

from catalogue.quality import USUAL, Rule, RuleSetting, Verdict

RULES = click.option(
    "--rule",
    "rules",
    multiple=True,
    metavar="RULE=VERDICT[:LIMIT]",
    help="What a rule says: pass, warn or refuse; rules: " + ", ".join(Rule) + ".",
)


def read_rules(said: Sequence[str]) -> Mapping[Rule, RuleSetting]:
    """Return what rules are to say. Raises click.BadParameter."""
    return dict(_read(each) for each in said)


def _read(said: str) -> tuple[Rule, RuleSetting]:
    name, _, rest = said.partition("=")
    verdict, _, limit = rest.partition(":")
    try:
        rule = Rule(name)
        usual = USUAL[rule].limit
        number = float(limit) if limit else usual
        if number is not None and not isfinite(number):
            raise click.BadParameter(f"{limit} is no limit.", param_hint="--rule")
        if limit and usual is None:
            raise click.BadParameter(f"{name} has no limit.", param_hint="--rule")
        return rule, RuleSetting(verdict=Verdict(verdict), limit=number)
    except ValueError as fault:
        raise click.BadParameter(f"{said!r}: {fault}.", param_hint="--rule") from fault
