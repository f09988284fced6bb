"""First stage of a run: resolve options that depend on other options, the machine or the working directory."""

from dataclasses import replace
from pathlib import Path

from textmix.config.run import RunConfig, slug
from textmix.data.config import UNLABELED_ROWS
from textmix.data.long_text import WINDOWS
from textmix.data.sources import absolute, source_name
from textmix.errors import ConfigError
from textmix.io.files import read_json
from textmix.io.run_directory import CONFIG_FILE, MODEL
from textmix.models.bundled import BUNDLED_MODELS
from textmix.models.config import BUNDLED_VECTORS, WORD_MODELS
from textmix.training.optimization import choose_precision
from textmix.training.pooled import check_pooled

# Encoders: Devlin et al. 2019. Adapters: Hu et al. 2021 for RoBERTa base (appendix D); ten times that of encoders, as
# Schulman et al. 2025 recommend. Word models: the default of Adam (Kingma and Ba 2015).
_LEARNING_RATE, _LORA_LEARNING_RATE, _WORDS_LEARNING_RATE = 5e-5, 5e-4, 1e-3


def resolve(config: RunConfig) -> RunConfig:
    """Fill in the output directory, the learning rate and the precision, and make paths absolute.

    Raises:
        ConfigError: If the requested precision is unavailable.
    """
    data, model, train = config.data, config.model, config.train
    directory = Path("runs") / f"{source_name(data.source)}-{slug(model.name)}-{config.mix.strategy}"
    # A built-in name takes precedence over a directory of the same name.
    is_local = model.name not in (*BUNDLED_MODELS, *WORD_MODELS) and Path(model.name).is_dir()
    name = str(Path(model.name).absolute()) if is_local else model.name
    if is_local and (Path(name) / CONFIG_FILE).is_file():  # of a run: its model
        name = str(Path(name) / MODEL)
    vectors = model.words.vectors
    if vectors not in (None, BUNDLED_VECTORS):
        vectors = str(Path(vectors).absolute())
    of_words = model.name in WORD_MODELS or (is_local and _is_word_model(Path(name)))
    encoder_rate = _LEARNING_RATE if model.lora.rank is None else _LORA_LEARNING_RATE
    default_rate = _WORDS_LEARNING_RATE if of_words else encoder_rate
    rate = default_rate if train.learning_rate is None and not config.has_few_labels else train.learning_rate
    return replace(
        config,
        output_dir=config.output_dir or str(directory),
        data=replace(
            data,
            source=absolute(data.source),
            test_source=absolute(data.test_source) if data.test_source else None,
            validation_source=absolute(data.validation_source) if data.validation_source else None,
            unlabeled=absolute(data.unlabeled) if data.unlabeled not in (None, UNLABELED_ROWS) else data.unlabeled,
        ),
        model=replace(
            model,
            name=name,
            words=replace(model.words, vectors=vectors),
        ),
        train=replace(
            train,
            learning_rate=rate,
            precision=choose_precision(train.precision),
        ),
    )


def check_long_text(config: RunConfig, pairs: bool, of_tokens: bool) -> None:
    """Check that `model.long_text` suits the rows and the strategy.

    Args:
        config: All options.
        pairs: Whether rows are pairs of texts.
        of_tokens: Whether each token has a label.

    Raises:
        ConfigError: If it does not.
    """
    long_text = config.model.long_text
    if long_text != "truncate" and (pairs or of_tokens):
        what = "pairs of texts" if pairs else "task token_classification"
        raise ConfigError(f"model.long_text {long_text} cannot cut {what}; leave it out")
    if long_text == WINDOWS:
        check_pooled(config.mix, "model.long_text windows")


def _is_word_model(directory: Path) -> bool:
    """Test whether a directory holds a word model that was trained before."""
    file = directory / "config.json"
    if not file.is_file():
        return False
    kind: str = read_json(file, lambda content: str(content.get("model_type")))
    return kind in [f"textmix-{name}" for name in WORD_MODELS]
