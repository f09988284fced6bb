"""Parse the strategies to compare, such as `none,word,sentence(regmix=1.0,alpha=0.2)`. Imports no torch."""

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
    """A strategy with its options, as one side of a comparison.

    Args:
        name: The strategy, as the user wrote it.
        mix: The parsed options.
    """

    name: str
    mix: MixConfig

    @property
    def options(self) -> dict[str, Any]:
        """The strategy, and the options of mixing that differ from their defaults."""
        values = option_values(self.mix).items()
        return {name: value for name, value in values if name == "strategy" or value != DEFAULTS[name]}

    @property
    def directory(self) -> str:
        """The name with all characters replaced that do not suit a directory."""
        return re.sub(r"[^\w.=]+", "-", self.name).strip("-")


def parse_variants(text: str, base: MixConfig) -> list[Variant]:
    """Parse a list of strategies with options.

    Args:
        text: Strategies, separated by commas. A name may be followed by options of the section `mix` in parentheses;
            options of the strategy's own section need no prefix: `multi(rows=4)`.
        base: Options of the recipe. Each variant except `none` takes those that have an effect on it.

    Raises:
        ConfigError: If a strategy or option is unknown, has no effect, or is repeated.
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
    """Split at the commas outside brackets."""
    parts, depth = [""], 0
    for character in text:
        depth += (character in _OPENING) - (character in _CLOSING)
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts]
