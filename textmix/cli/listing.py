"""`textmix datasets`, `textmix models` and `textmix strategies`."""

from textmix.cli.common import command_parser
from textmix.cli.terminal import print_table
from textmix.config.parsing import parse
from textmix.evaluation.tables import Table
from textmix.io.quiet import quiet_libraries


def datasets(arguments: list[str]) -> None:
    """List the built-in data sets."""
    parse(command_parser("datasets", "List the built-in data sets."), arguments)
    from textmix.data.builtin import BUILTIN_DATASETS

    rows = [(name, corpus.distribution, corpus.summary) for name, corpus in BUILTIN_DATASETS.items()]
    print_table(Table(("data.source", "package", "description"), rows))
    print("Files, lists of files, globs, directories and hub ids work too; `textmix data` shows what is in them.")


def models(arguments: list[str]) -> None:
    """List the built-in models."""
    parse(command_parser("models", "List the built-in models."), arguments)
    quiet_libraries()
    from textmix.models.bundled import BUNDLED_MODELS
    from textmix.models.config import WORD_MODELS

    rows = [(name, model.distribution, model.summary) for name, model in BUNDLED_MODELS.items()]
    rows += [(name, "", summary) for name, summary in WORD_MODELS.items()]
    print_table(Table(("model.name", "package", "description"), rows))
    print("Models without a package build their vocabulary from the training texts, and train vectors unless given.")
    print("Any encoder that transformers' AutoModel loads works too, by hub id or directory.")


def strategies(arguments: list[str]) -> None:
    """List the mixing strategies."""
    parse(command_parser("strategies", "List the mixing strategies."), arguments)
    from textmix.mixing.registry import STRATEGIES

    rows = [(strategy.name, strategy.summary, strategy.paper) for strategy in STRATEGIES.values()]
    print_table(Table(("mix.strategy", "description", "paper"), rows))
