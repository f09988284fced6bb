"""`textmix inspect`, for a run or an untrained classifier. Imports no torch."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from jsonargparse import ArgumentParser, Namespace

from textmix.cli.common import add_data_options
from textmix.cli.terminal import console
from textmix.config.parsing import add_trust, check_trust, parse, read_run_config
from textmix.config.run import RunConfig
from textmix.data.config import DataConfig
from textmix.errors import ConfigError, ModelError
from textmix.io.quiet import quiet_libraries
from textmix.io.run_directory import CONFIG_FILE
from textmix.mixing.completion import complete
from textmix.mixing.config import DEFAULTS, MixConfig, option_values
from textmix.mixing.loss_config import LossConfig

if TYPE_CHECKING:
    from collections.abc import Iterable

    from textmix.analysis.inspect.layout import Texts
    from textmix.analysis.inspect.pairs import Pair
    from textmix.models.loading import LoadedModel

_LENGTH, _BATCH = 48, 32
_DESCRIPTION = """Show how mixing changes pairs of texts: textmix inspect RUN_OR_MODEL DATA [OPTIONS].
Each pair comes from its own step, drawn as in training. Nothing is trained or written."""

_JSON_FIELDS = (
    "step, strategy, site, lam, rows (number, text, text_pair, label, weight, target_weight, ids, tokens; the row"
    " itself first), target (weight of each class), positions (origin: own, partner, both, special or padding; parts:"
    " the token of each row; source: position in the partner; id and token, or nearest: tokens with their cosine),"
    " mixed_text, nearest (of a sentence vector), note"
)


def inspect(arguments: list[str]) -> None:
    """Draw mixed pairs of texts and print them.

    Raises:
        TextmixError: If options, data or model cannot be used.
    """
    # --strategy is an alias of --mix.strategy.
    arguments = [f"--mix.{word[2:]}" if word.split("=")[0] == "--strategy" else word for word in arguments]
    options, config = _read_options(arguments)
    mix: MixConfig = options["mix"]
    _check_numbers(options)
    data = _data_config(options, config)

    quiet_libraries()
    from textmix.analysis.inspect.draw import DrawOptions, draw_pairs
    from textmix.hooks.special_tokens import special_ids
    from textmix.tasks.registry import label_space

    name, loss = options["run_or_model"], config.loss if config is not None else LossConfig()
    loaded, texts, fresh = _load(name, config, data, options["seed"], options["model"]["trust_remote_code"])
    length = _max_length(options["max_length"], loaded, texts.pairs is not None)
    size = options["batch_size"] or max((config and config.train.batch_size) or _BATCH, 2)
    counts = label_space(loaded.model.config).counts(texts.labels)
    mix = complete(mix, loss, lambda: special_ids(loaded.tokenizer), lambda: counts)
    drawing = DrawOptions(options["count"], size, length, options["seed"])
    pairs = draw_pairs(loaded.model, loaded.tokenizer, texts, mix, loss, drawing)
    if options["json"]:
        for pair in pairs:
            print(json.dumps(asdict(pair), ensure_ascii=False))
        return
    step = min(size, len(texts.texts))
    title = f"{name} on {options['source']}: each pair from a step of {step} rows, cut at {length} tokens"
    _print_pairs(pairs, title, fresh and "ssmix" in mix.names)


def _print_pairs(pairs: "Iterable[Pair]", title: str, warn_of_saliency: bool) -> None:
    from textmix.analysis.inspect.show import legend, show_pair

    screen = console()
    screen.print(title, markup=False)
    screen.print(legend())
    if warn_of_saliency:
        screen.print("the classifier is untrained, so its saliency means little; inspect a run instead")
    for number, pair in enumerate(pairs, start=1):
        show_pair(pair, number, screen)


def _parser() -> ArgumentParser:
    parser = ArgumentParser(prog="textmix inspect", description=_DESCRIPTION, exit_on_error=False, allow_abbrev=False)
    parser.add_argument(
        "run_or_model",
        help="directory of a run; or a built-in model, a hub id or a model directory, with an untrained classifier",
    )
    parser.add_argument("source", help="labelled data: a file, a glob, a hub id, or a built-in name")
    parser.add_argument(
        "--strategy",
        metavar="STRATEGY",
        default=None,
        help="alias of --mix.strategy; the default is the run's, or manifold for a model",
    )
    parser.add_argument("-n", "--count", type=int, default=5, help="number of pairs, at most the number of rows")
    parser.add_argument("--seed", type=int, default=0, help="seed of the row order and of all draws")
    parser.add_argument(
        "--max_length",
        type=int | None,
        default=None,
        help=f"truncate texts to this many tokens before mixing, so that a pair fits on a screen; null means"
        f" {_LENGTH}, or the model's maximum if that is less",
    )
    parser.add_argument(
        "--batch_size",
        type=int | None,
        default=None,
        help=f"rows of a step, among which partners are drawn; null means the run's, or {_BATCH} for a model",
    )
    parser.add_argument(
        "--json",
        action="store_true",
        help=f"print only one JSON object per line for each pair, with the fields: {_JSON_FIELDS}",
    )
    add_data_options(parser, "the run's, or text for a model", "the run's, or label for a model")
    add_trust(parser)
    parser.add_class_arguments(MixConfig, "mix")
    return parser


def _read_options(arguments: list[str]) -> tuple[Namespace, RunConfig | None]:
    """Parse the command line, with the run's options of `mix` as defaults.

    If the command line chooses another strategy, the sections of single strategies are not taken from the run.
    """
    parser = _parser()
    options = parse(parser, arguments)
    directory = Path(options["run_or_model"])
    is_run = (directory / CONFIG_FILE).is_file()
    config = check_trust(read_run_config(directory), arguments) if is_run else None
    if config is not None:
        given = any(word.split("=")[0] == "--mix.strategy" for word in arguments)
        strategy = options["mix"]["strategy"] if given else config.mix.strategy
        values = option_values(config.mix)
        if strategy != config.mix.strategy:
            values |= {option: default for option, default in DEFAULTS.items() if "." in option}
        parser.set_defaults({f"mix.{name}": value for name, value in values.items()})
        options = parse(parser, arguments)
    if not isinstance(options["mix"], Namespace):
        raise ConfigError("--mix takes options by name, as in --mix.alpha 0.4")
    return parser.instantiate(options), config


def _check_numbers(options: Namespace) -> None:
    wrong = [
        f"--{name} must be at least {least}, not {options[name]}"
        for name, least in (("count", 1), ("batch_size", 2))
        if options[name] is not None and options[name] < least
    ]
    if not 0 <= options["seed"] < 2**32:
        wrong.append(f"--seed must lie in [0, 2**32), not {options['seed']}")
    if wrong:
        raise ConfigError("; ".join(wrong))


def _data_config(options: Namespace, config: RunConfig | None) -> DataConfig:
    given = {name: value for name, value in options["data"].items() if value}
    return (config.data.of_source if config is not None else DataConfig)(source=options["source"], **given)


def _load(
    name: str, config: RunConfig | None, data: DataConfig, seed: int, trust: bool
) -> "tuple[LoadedModel, Texts, bool]":
    """Load the model and the rows; the last value is True if the classifier is untrained."""
    import torch

    from textmix.analysis.inspect.layout import Texts
    from textmix.data.columns import categories
    from textmix.data.sources import source_name
    from textmix.data.splits import load_rows
    from textmix.data.standardize import LABEL, PAIR, TEXT
    from textmix.io.run_directory import MODEL
    from textmix.models.config import WORD_MODELS, ModelConfig
    from textmix.models.loading import build_model, check_model, load_model
    from textmix.runs.data import encode_rows, find_task
    from textmix.tasks.registry import build_task, label_space

    where = source_name(data.source)
    trained = Path(name) / MODEL if config is not None else _trained(Path(name))
    if trained is not None:
        loaded = load_model(trained, trust)
        space = label_space(loaded.model.config)
        rows = load_rows(data, build_task(space.task, data))
    else:
        if name in WORD_MODELS:
            raise ModelError(f"{name} has no vocabulary until it is trained; give the directory of a run instead")
        # A model with remote code brings its own head.
        model = ModelConfig(name=name, head="native", trust_remote_code=True) if trust else ModelConfig(name=name)
        check_model(model)
        task = build_task(find_task(data).task, data)
        rows = load_rows(data, task)
        labels = categories(rows, LABEL)
        space = task.fit(labels, labels, where)
        with torch.random.fork_rng():
            torch.manual_seed(seed)  # weights of the untrained classifier
            loaded = build_model(model, space.to_config(), [])
        space.store(loaded.model.config)
    rows, targets = encode_rows(rows, space, data, where)
    pairs = rows[PAIR][:] if PAIR in rows.column_names else None
    shown = [" ".join(map(str, cells)) for cells in zip(*space.write_targets(targets).values(), strict=True)]
    return loaded, Texts(rows[TEXT][:], pairs, space.to_labels(targets), shown), trained is None


def _trained(directory: Path) -> Path | None:
    """Return the directory if it holds a classifier trained by textmix, such as the `model` of a run."""
    file = directory / "config.json"
    if not file.is_file():
        return None
    return directory if '"model_type": "textmix-' in file.read_text(encoding="utf-8", errors="replace") else None


def _max_length(asked: int | None, loaded: "LoadedModel", has_pairs: bool) -> int:
    longest = int(loaded.tokenizer.model_max_length)
    special = loaded.tokenizer.num_special_tokens_to_add(pair=has_pairs)
    if asked is None:
        return min(_LENGTH, longest)
    if not special < asked <= longest:
        raise ConfigError(
            f"--max_length must lie between {special + 1}, the number of special tokens plus one, and {longest}, the"
            f" model's maximum, not {asked}"
        )
    return asked
