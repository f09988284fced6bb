"""Build or load a model and its tokenizer by name."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from textmix.errors import ModelError, RunError
from textmix.hooks.sites import find_sites
from textmix.models.bundled import BUNDLED_MODELS, resolve_model_path
from textmix.models.config import WORD_MODELS, ModelConfig
from textmix.models.pooling_choice import declared_max_length
from textmix.models.sequence_classifier import MixupForSequenceClassification
from textmix.models.words.build import build_word_model

LONGEST = 512


# Parameters that stand for masked tokens, which classification never has (XLNet).
_OF_PRETRAINING = ("mask_emb",)


@dataclass(frozen=True)
class LoadedModel:
    """A model ready to train or predict.

    Args:
        model: The classifier.
        tokenizer: Its tokenizer; its `model_max_length` is where inputs are cut.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase


def check_model_name(config: ModelConfig) -> None:
    """Fail early when a model cannot be found, before any data is read.

    Raises:
        ModelError: If neither a built-in model nor a local directory nor a hub model has that name.
    """
    if config.name not in WORD_MODELS:
        _load_config(config)


def _load_config(model: ModelConfig) -> Any:
    name = model.name
    path = resolve_model_path(name)
    try:
        return AutoConfig.from_pretrained(path, trust_remote_code=model.trust_remote_code)
    except (OSError, ValueError, KeyError) as error:
        reason = _reason(error)
        hint = ", ".join([*BUNDLED_MODELS, *WORD_MODELS])
        raise ModelError(f"no model '{name}' (built in: {hint}; or a directory, or a hub id): {reason}") from error


def build_model(config: ModelConfig, class_names: list[str], texts: Iterable[str]) -> LoadedModel:
    """Build a classifier to train.

    Args:
        config: Which model.
        class_names: Names of the classes, in the order of their ids.
        texts: Training texts, on which the vocabulary of a model of words is trained; not read for other models.

    Raises:
        ModelError: If the model or its word vectors cannot be loaded.
    """
    labels: dict[str, Any] = {
        "id2label": dict(enumerate(class_names)),
        "label2id": {name: number for number, name in enumerate(class_names)},
        "problem_type": "single_label_classification",
    }
    if config.name in WORD_MODELS:
        word_model, vocabulary = build_word_model(config, labels, texts)
        vocabulary.model_max_length = config.max_length or LONGEST
        return LoadedModel(word_model, vocabulary)
    encoder_config = _load_config(config)
    if encoder_config.model_type.startswith("textmix-"):
        raise ModelError(
            f"'{config.name}' is a classifier that textmix trained; model.name takes an encoder, or a classifier of"
            " transformers' own"
        )
    path = resolve_model_path(config.name)
    try:
        tokenizer = AutoTokenizer.from_pretrained(path, trust_remote_code=config.trust_remote_code)
        model = MixupForSequenceClassification.from_pretrained(
            config.name,
            head=config.head,
            pooling=config.pooling,
            classifier_dropout=config.dropout,
            encoder_dropout=config.encoder_dropout,
            trust_remote_code=config.trust_remote_code,
            dtype=torch.float32,  # weights are trained in float32 whatever they were saved in
            **labels,
        )
    except (OSError, ValueError) as error:
        raise ModelError(f"cannot load model '{config.name}': {_reason(error)}") from error
    for name, parameter in model.named_parameters():
        if name.rpartition(".")[2] in _OF_PRETRAINING:
            parameter.requires_grad_(False)  # several processes would wait for its gradient
    freeze_lowest(model, config.freeze)
    if tokenizer.pad_token is None:
        # Decoders have none; every position it fills is masked.
        tokenizer.pad_token = tokenizer.eos_token
        model.config.get_text_config().pad_token_id = tokenizer.pad_token_id
    positions = getattr(encoder_config.get_text_config(), "max_position_embeddings", None) or 0
    longest = min(tokenizer.model_max_length, positions if positions > 0 else tokenizer.model_max_length)
    if config.max_length is not None and config.max_length > longest:
        raise ModelError(
            f"model.max_length {config.max_length} is more than the {longest} tokens '{config.name}' takes"
        )
    special = tokenizer.num_special_tokens_to_add(pair=True)
    if config.max_length is not None and config.max_length <= special:
        raise ModelError(f"model.max_length must be above {special}, the number of special tokens")
    tokenizer.model_max_length = config.max_length or declared_max_length(path) or min(longest, LONGEST)
    return LoadedModel(model, tokenizer)


def _reason(error: Exception) -> str:
    """Say in one line why transformers could not load a model."""
    text = str(error).strip()
    if "trust_remote_code=True" in text:
        return "it comes with Python code of its own; if you trust it, add --model.trust_remote_code true"
    if "no file named model.safetensors" in text:
        return "it has no model.safetensors; pickled weights can run code and are not loaded"
    return text.partition("\n")[0]


def freeze_lowest(model: PreTrainedModel, count: int | Literal["encoder"]) -> None:
    """Stop training the embeddings and the lowest blocks of a model's encoder.

    Args:
        model: A classifier.
        count: How many blocks; 0 freezes nothing, not even the embeddings; `encoder` freezes all of the encoder.

    Raises:
        ModelError: If the encoder has fewer blocks, or shares them.
    """
    if count == 0:
        return
    if count == "encoder":
        model.base_model.requires_grad_(False)
        return
    blocks = [block.module for block in find_sites(model).blocks]
    if count > len(blocks):
        raise ModelError(f"model.freeze {count} is more than the {len(blocks)} blocks of {type(model).__name__}")
    if any(block in blocks[count:] for block in blocks[:count]):
        raise ModelError(
            f"{type(model).__name__} shares its blocks, so that none can be frozen alone; leave out model.freeze"
        )
    for module in (model.get_input_embeddings(), *blocks[:count]):
        module.requires_grad_(False)
    # What else stands in front of the blocks: positions, projections, norms. Were one of them trained, the backward
    # pass would have to go through all of the frozen blocks.
    first = next(blocks[0].parameters())
    for parameter in takewhile(lambda parameter: parameter is not first, model.base_model.parameters()):
        parameter.requires_grad_(False)


def load_model(directory: Path, trust_remote_code: bool = False) -> LoadedModel:
    """Load a model that a run has saved, in eval mode, onto the accelerator if there is one.

    Args:
        directory: Where it was saved.
        trust_remote_code: Run the Python code that lies there, if it has an architecture of its own.

    Raises:
        RunError: If the directory holds no model, or one that could run code.
    """
    if not (directory / "config.json").is_file():
        raise RunError(f"no saved model at {directory}; has the run finished?")
    try:
        tokenizer = AutoTokenizer.from_pretrained(directory, trust_remote_code=trust_remote_code)
        model = AutoModelForSequenceClassification.from_pretrained(
            directory, use_safetensors=True, trust_remote_code=trust_remote_code
        )
    except (OSError, ValueError, SafetensorError) as error:
        raise RunError(f"cannot load the model at {directory}: {_reason(error)}") from error
    device = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    return LoadedModel(model.to(device or "cpu").eval(), tokenizer)
