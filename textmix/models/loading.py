"""Build or load a model and its tokenizer by name."""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

import textmix.models.auto  # noqa: F401  # so that the Auto classes know the models of textmix
from textmix.errors import ModelError, RunError, TextmixError
from textmix.io.compat import current_accelerator
from textmix.mixing.config import MixConfig
from textmix.models.bundled import BUNDLED_MODELS, resolve_model_path
from textmix.models.config import WORD_MODELS, ModelConfig
from textmix.models.continuation import check_continuable, keep_classes
from textmix.models.encoder_config import MixupEncoderConfig
from textmix.models.encoders import dropout_options, load_encoder
from textmix.models.freezing import freeze_lowest
from textmix.models.lora import add_adapters, base_of, import_peft, is_adapter, merge_saved
from textmix.models.pooling_choice import declared_max_length
from textmix.models.sequence_classifier import MixupForSequenceClassification
from textmix.models.token_classifier import MixupForTokenClassification
from textmix.models.words.build import build_word_model, check_word_model_sites

logger = logging.getLogger(__name__)

LONGEST = 512
_OF_TOKENS = "ForTokenClassification"
_OF_CLASSIFIERS = ("ForSequenceClassification", _OF_TOKENS)
# Parameters for masked tokens, which do not occur in classification (XLNet).
_OF_PRETRAINING = ("mask_emb",)


@dataclass(frozen=True)
class LoadedModel:
    """A model to train or to predict with.

    Args:
        model: The classifier.
        tokenizer: Its tokenizer; inputs are cut at its `model_max_length`.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase


def check_model(config: ModelConfig, mix: MixConfig | None = None) -> None:
    """Check, before any data is read, that a model exists, and that a word model has the sites of the strategy.

    Args:
        config: The model.
        mix: How to mix; None if it is not known yet.

    Raises:
        ModelError: If neither a built-in model nor a directory nor a hub model has that name, a word model lacks a site
            that the strategy needs, or peft is needed and not installed.
    """
    if config.lora.rank is not None:
        import_peft()
    if config.name not in WORD_MODELS:
        _load_config(config.name, config.trust_remote_code)
    elif mix is not None:
        check_word_model_sites(config, mix)


def _load_config(name: str, trust_remote_code: bool) -> Any:
    path = resolve_model_path(name)
    try:
        if Path(path).is_dir() and not (Path(path) / "config.json").is_file():
            if is_adapter(path):
                raise OSError("it is an adapter that textmix has not written or not finished: it has no config.json")
            raise OSError("it has no config.json")  # transformers 4.57 guesses the kind of model from the path
        return AutoConfig.from_pretrained(path, trust_remote_code=trust_remote_code)
    except (OSError, ValueError, KeyError) as error:
        reason = _reason(error)
        hint = ", ".join([*BUNDLED_MODELS, *WORD_MODELS])
        raise ModelError(f"no model '{name}' (built in: {hint}; or a directory, or a hub id): {reason}") from error


def load_tokenizer(config: ModelConfig) -> PreTrainedTokenizerBase:
    """Load the tokenizer of an encoder; its `model_max_length` is where texts are cut.

    Args:
        config: The model, no word model: the vocabulary of one is made of training texts.

    Raises:
        ModelError: If the model cannot be found.
    """
    encoder_config = _load_config(config.name, config.trust_remote_code)
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            resolve_model_path(config.name), trust_remote_code=config.trust_remote_code
        )
    except (OSError, ValueError) as error:
        raise ModelError(f"cannot load the tokenizer of '{config.name}': {_reason(error)}") from error
    tokenizer.model_max_length = _max_length(config, encoder_config, tokenizer)
    return tokenizer


def build_model(
    config: ModelConfig, labels: dict[str, Any], texts: Iterable[str], of_tokens: bool = False
) -> LoadedModel:
    """Build a classifier to train.

    Args:
        config: The model.
        labels: Options of the model's configuration about its labels, such as `id2label` and `problem_type`.
        texts: Training texts, on which the vocabulary of a word model is trained; not read for other models.
        of_tokens: Classify each token instead of the text.

    Raises:
        ModelError: If the model or its word vectors cannot be loaded, or cannot classify tokens.
    """
    if of_tokens and (config.name in WORD_MODELS or config.freeze == "encoder"):
        what = "model.freeze encoder" if config.freeze == "encoder" else f"model.name {config.name}"
        raise ModelError(f"{what} has one output for each text, but token_classification needs one for each token")
    if config.name in WORD_MODELS:
        word_model, vocabulary = build_word_model(config, labels, texts)
        vocabulary.model_max_length = config.max_length or LONGEST
        return LoadedModel(word_model, vocabulary)
    encoder_config = _load_config(config.name, config.trust_remote_code)
    start = _go_on if _is_trained(config, encoder_config) else _begin
    loaded = start(config, encoder_config, labels, of_tokens)
    if config.lora.rank is not None:
        add_adapters(loaded.model, config.lora, config.name)
    return loaded


def _is_trained(config: ModelConfig, encoder_config: Any) -> bool:
    """Return whether the head of a model is kept: of a classifier of textmix, or, if asked for, of transformers."""
    path = resolve_model_path(config.name)
    if is_adapter(path) or encoder_config.model_type.startswith("textmix-"):
        return True
    architectures = encoder_config.architectures or []
    if not Path(path).is_dir() or not any(name.endswith(_OF_CLASSIFIERS) for name in architectures):
        return False
    if config.head != "native":
        logger.info(f"{config.name}: its encoder alone is used; --model.head native goes on from its classifier")
    return config.head == "native"


def _begin(config: ModelConfig, encoder_config: Any, labels: dict[str, Any], of_tokens: bool) -> LoadedModel:
    """Load an encoder with a new head, or a classifier of transformers."""
    model, tokenizer = _load_classifier(config, labels, of_tokens)
    if of_tokens and not tokenizer.is_fast:
        raise ModelError(f"the tokenizer of '{config.name}' does not tell the places of word pieces in a text")
    for name, parameter in model.named_parameters():
        if name.rpartition(".")[2] in _OF_PRETRAINING:
            parameter.requires_grad_(False)  # in several processes, DDP would wait for its gradient
    freeze_lowest(model, config.freeze)
    _pad(model, tokenizer)
    tokenizer.model_max_length = _max_length(config, encoder_config, tokenizer)
    return LoadedModel(model, tokenizer)


def _pad(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Give a decoder a padding token: any token works, because padding is masked."""
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
        model.config.get_text_config().pad_token_id = tokenizer.pad_token_id


def _go_on(config: ModelConfig, encoder_config: Any, labels: dict[str, Any], of_tokens: bool) -> LoadedModel:
    """Load a trained classifier, with the classes of the labels."""
    loaded = load_model(Path(config.name), config.trust_remote_code, partial(_set_dropout, config))
    model, tokenizer = loaded.model.cpu(), loaded.tokenizer
    if config.head != "native" and not model.config.model_type.startswith("textmix-"):
        raise ModelError(f"{config.name} was trained with model.head native; add --model.head native")
    check_continuable(model, labels, of_tokens, config.name)
    keep_classes(model, labels["id2label"], config.name)
    model.config.temperatures = None  # of the classes before
    model.train()
    freeze_lowest(model, config.freeze)
    _pad(model, tokenizer)
    tokenizer.model_max_length = config.max_length or _max_length(config, encoder_config, tokenizer)
    return LoadedModel(model, tokenizer)


def _load_classifier(
    config: ModelConfig, labels: dict[str, Any], of_tokens: bool
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    trust = config.trust_remote_code
    kind: Any = MixupForTokenClassification if of_tokens else MixupForSequenceClassification
    try:
        tokenizer = AutoTokenizer.from_pretrained(resolve_model_path(config.name), trust_remote_code=trust)
        model: PreTrainedModel = kind.from_pretrained(
            config.name,
            head=config.head,
            **({} if of_tokens else {"pooling": config.pooling} | ({"normalize": True} if config.normalize else {})),
            classifier_dropout=config.dropout,
            encoder_dropout=config.encoder_dropout,
            trust_remote_code=trust,
            dtype=torch.float32,  # weights are trained in float32, whatever type they have in the file
            **labels,
        )
    except (OSError, ValueError) as error:
        raise ModelError(f"cannot load model '{config.name}': {_reason(error)}") from error
    return model, tokenizer


def _max_length(config: ModelConfig, encoder_config: Any, tokenizer: PreTrainedTokenizerBase) -> int:
    """Return the number of tokens at which inputs are cut."""
    positions = getattr(encoder_config.get_text_config(), "max_position_embeddings", None) or 0
    longest = min(tokenizer.model_max_length, positions if positions > 0 else tokenizer.model_max_length)
    if config.max_length is not None and config.max_length > longest:
        raise ModelError(f"model.max_length {config.max_length} exceeds the {longest} tokens of '{config.name}'")
    special = tokenizer.num_special_tokens_to_add(pair=True)
    if config.max_length is not None and config.max_length <= special:
        raise ModelError(f"model.max_length must be above {special}, the number of special tokens")
    return config.max_length or declared_max_length(resolve_model_path(config.name)) or min(longest, LONGEST)


def _reason(error: Exception) -> str:
    """Return the reason why transformers could not load a model, in one line."""
    text = str(error).strip()
    if "trust_remote_code=True" in text:
        return "it contains Python code; if you trust it, add --model.trust_remote_code true"
    if "no file named model.safetensors" in text:
        return "it has no model.safetensors; pickled weights can run code and are not loaded"
    return text.partition("\n")[0]


def _set_dropout(config: ModelConfig, saved: Any) -> None:
    """Set the rates of dropout that are asked for in the configuration of a saved model."""
    encoder = saved.encoder if isinstance(saved, MixupEncoderConfig) else saved
    encoder.update(dropout_options(encoder, config.encoder_dropout))
    if config.dropout is not None:
        setattr(saved, "classifier_dropout" if isinstance(saved, MixupEncoderConfig) else "dropout", config.dropout)


def load_model(
    directory: Path, trust_remote_code: bool = False, change: Callable[[Any], None] = lambda config: None
) -> LoadedModel:
    """Load a saved model in eval mode, onto the accelerator if there is one.

    Args:
        directory: Directory of the model.
        trust_remote_code: Run the Python code in the directory, if the model has a custom architecture.
        change: Changes the configuration with which the model is built.

    Raises:
        RunError: If the directory holds no model, or the model needs code that may not run.
    """
    if not (directory / "config.json").is_file():
        raise RunError(f"no saved model at {directory}; has the run finished?")
    try:
        tokenizer = AutoTokenizer.from_pretrained(directory, trust_remote_code=trust_remote_code)
        config = AutoConfig.from_pretrained(directory, trust_remote_code=trust_remote_code)
        change(config)
        of_tokens = any(name.endswith(_OF_TOKENS) for name in config.architectures or [])
        auto: Any = AutoModelForTokenClassification if of_tokens else AutoModelForSequenceClassification
        if is_adapter(directory):
            model: Any = _load_adapter(directory, config, of_tokens, trust_remote_code)
        else:
            options = {"use_safetensors": True, "trust_remote_code": trust_remote_code}
            model = auto.from_pretrained(directory, config=config, **options)
    except TextmixError:
        raise
    except (OSError, ValueError, SafetensorError) as error:
        raise RunError(f"cannot load the model at {directory}: {_reason(error)}") from error
    return LoadedModel(model.to(current_accelerator() or "cpu").eval(), tokenizer)


def _load_adapter(directory: Path, config: Any, of_tokens: bool, trust_remote_code: bool) -> PreTrainedModel:
    """Load the model that an adapter was trained on, with the adapter's head, and merge the adapter into it."""
    name = base_of(directory)
    options = {"use_safetensors": True, "trust_remote_code": trust_remote_code, "dtype": torch.float32}
    auto: Any = AutoModelForTokenClassification if of_tokens else AutoModelForSequenceClassification
    kind = MixupForTokenClassification if of_tokens else MixupForSequenceClassification
    path = resolve_model_path(name)
    model: PreTrainedModel
    try:
        if is_adapter(path) or _load_config(name, trust_remote_code).model_type.startswith("textmix-"):  # it went on
            base: Any = load_model(Path(name), trust_remote_code).model.cpu()
            model = type(base)(config)
            shapes = {key: weight.shape for key, weight in model.state_dict().items()}
            kept = {key: weight for key, weight in base.state_dict().items() if weight.shape == shapes[key]}
            model.load_state_dict(kept, strict=False)  # without its head, if that had other classes
        elif isinstance(config, MixupEncoderConfig):
            encoder, _ = load_encoder(path, config.encoder, (), options)
            model = kind(config, encoder=encoder)
        else:
            model = auto.from_pretrained(path, config=config, ignore_mismatched_sizes=True, **options)
        merge_saved(model, directory)
        return model
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        where = f"the adapter {directory}, which was trained on '{name}'"
        raise ModelError(f"cannot load {where}: {_reason(error)}") from error
