"""The strategies that are compared, as they are written: `none,word,sentence(regmix=1.0,alpha=0.2)`. No torch."""

import re
from dataclasses import dataclass
from typing import Any

from jsonargparse import ArgumentParser

from textmix.config.parsing import parse
from textmix.errors import ConfigError
from textmix.mixing.config import DEFAULTS, MixConfig, from_values, option_values, without_effect

NONE = "none"
_WRITTEN = re.compile(r"(?P<strategy>\w+)(?:\((?P<options>.*)\))?", flags=re.DOTALL)
_OPENING, _CLOSING = "([{", ")]}"


@dataclass(frozen=True)
class Variant:
    """One of the ways of mixing that are compared.

    Args:
        name: As it was written.
        mix: What it means.
    """

    name: str
    mix: MixConfig

    @property
    def options(self) -> dict[str, Any]:
        """The options of mixing that differ from their defaults, and the strategy."""
        values = option_values(self.mix).items()
        return {name: value for name, value in values if name == "strategy" or value != DEFAULTS[name]}

    @property
    def directory(self) -> str:
        """The name, as a directory can have it."""
        return re.sub(r"[^\w.=]+", "-", self.name).strip("-")


def parse_variants(text: str, base: MixConfig) -> list[Variant]:
    """Read strategies, each with options of its own.

    Args:
        text: Strategies, separated by commas; a name may be followed by options of the section `mix` in parentheses,
            where those of the strategy itself need no section: `multi(rows=4)`.
        base: Options of the recipe. Each variant has those of them that mean something to it, but for `none`, which
            has none.

    Raises:
        ConfigError: If a strategy or option is unknown, has no effect, or comes twice.
    """
    variants = [_variant(part, base) for part in _split(text)]
    for number, variant in enumerate(variants):
        if variant.directory in [earlier.directory for earlier in variants[:number]]:
            raise ConfigError(f"--strategies has '{variant.name}' twice")
    return variants


def _variant(text: str, base: MixConfig) -> Variant:
    written = _WRITTEN.fullmatch(text)
    if written is None:
        raise ConfigError(
            f"cannot read '{text}' in --strategies; write it like none,word,'sentence(regmix=1.0,alpha=0.2)'"
        )
    strategy = written["strategy"]
    given = {"strategy": strategy}
    for part in _split(written["options"]) if written["options"] else []:
        option, equals, value = (piece.strip() for piece in part.partition("="))
        option = f"{strategy}.{option}" if f"{strategy}.{option}" in DEFAULTS else option
        if not equals or option in given:
            raise ConfigError(f"options of '{text}' in --strategies must be like alpha=0.2, each once, not '{part}'")
        given[option] = value
    parser = ArgumentParser(exit_on_error=False, allow_abbrev=False)
    parser.add_class_arguments(MixConfig, "mix")
    parsed = parse(parser, [f"--mix.{option}={value}" for option, value in given.items()])
    options = {option: parsed[f"mix.{option}"] for option in given}
    if strategy != NONE:
        options = option_values(base) | options
        for option in without_effect(options).keys() - given:
            options[option] = DEFAULTS[option]
    return Variant(text, from_values(options))


def _split(text: str) -> list[str]:
    """Split at the commas that are not inside of brackets."""
    parts, depth = [""], 0
    for character in text:
        depth += (character in _OPENING) - (character in _CLOSING)
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts]
