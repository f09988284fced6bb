"""Load an encoder as a masked language model, and save the encoder as its source is saved."""

import json
import shutil
from pathlib import Path, PurePath
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForMaskedLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from textmix.errors import ModelError
from textmix.io.compat import model_class
from textmix.models.bundled import resolve_model_path
from textmix.models.config import WORD_MODELS, ModelConfig
from textmix.models.loading import load_tokenizer
from textmix.models.lora import is_adapter
from textmix.models.pooling_choice import find_file

# Files of sentence-transformers beside the encoder, and in the folder of a module such as `1_Pooling`.
_MODULES = "modules.json"
_SENTENCE_FILES = (_MODULES, "sentence_bert_config.json", "config_sentence_transformers.json", "1_Pooling/config.json")
_MODULE_FILES = ("config.json", "model.safetensors")


class MaskedLM(NamedTuple):
    """A masked language model.

    Args:
        model: The model, in float32.
        tokenizer: A fast tokenizer; its `model_max_length` is the longest input.
        has_new_head: Whether the checkpoint has no head for masked tokens, so that it was drawn.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    has_new_head: bool


def load_masked_lm(name: str, max_length: int | None = None) -> MaskedLM:
    """Load an encoder as a masked language model; a head that the checkpoint lacks is drawn from torch's generator.

    Args:
        name: A built-in name, a directory, or a hub id.
        max_length: Longest input in tokens; None means that of the encoder.

    Raises:
        ModelError: If it cannot be loaded, or is no encoder that predicts masked tokens.
    """
    tokenizer = check_masked_lm(name, max_length)
    try:
        model, info = AutoModelForMaskedLM.from_pretrained(
            resolve_model_path(name), dtype=torch.float32, use_safetensors=True, output_loading_info=True
        )
    except (OSError, ValueError, SafetensorError) as error:
        raise ModelError(f"cannot load model '{name}': {str(error).strip().partition(chr(10))[0]}") from error
    inside = f"{model.base_model_prefix}."
    return MaskedLM(model, tokenizer, any(not key.startswith(inside) for key in info["missing_keys"]))


def check_masked_lm(name: str, max_length: int | None = None) -> PreTrainedTokenizerBase:
    """Check, before any text is read, that an encoder predicts masked tokens; returns its tokenizer.

    Raises:
        ModelError: If it does not, or `max_length` is out of its range.
    """
    if name in WORD_MODELS:
        raise ModelError(f"{name} is a model of words; only an encoder is pretrained on masked tokens, such as minilm")
    try:
        tokenizer = load_tokenizer(ModelConfig(name=name, max_length=max_length))
    except ModelError as error:
        raise ModelError(_without_options_of_train(str(error))) from error
    path = resolve_model_path(name)
    config = AutoConfig.from_pretrained(path)
    has_class = model_class(AutoModelForMaskedLM, config) is not None
    if not has_class or config.is_encoder_decoder or is_adapter(path):
        raise ModelError(
            f"'{name}' ({config.model_type}) is no encoder that transformers has a masked language model of;"
            " use one such as BERT, RoBERTa or ModernBERT"
        )
    if not tokenizer.is_fast or tokenizer.mask_token_id is None:
        raise ModelError(f"the tokenizer of '{name}' has no mask token, or does not tell the words that tokens are of")
    return tokenizer


def _without_options_of_train(message: str) -> str:
    """Name the options of `adapt` in a message of `load_tokenizer`."""
    trust = "; if you trust it, add --model.trust_remote_code true"
    return message.replace("model.max_length", "--max_length").replace(trust, ", which only train runs")


def save_encoder(model: PreTrainedModel, name: str, directory: Path) -> None:
    """Save the encoder of a masked language model, and what its source has beside the weights.

    The tokenizer, and the modules that a sentence-transformers checkpoint declares, such as its pooling, are those of
    the source.

    Args:
        model: The masked language model.
        name: What it was loaded from.
        directory: Directory to write, which exists.
    """
    path = resolve_model_path(name)
    encoder: Any = model.base_model
    encoder.cpu().save_pretrained(directory)
    AutoTokenizer.from_pretrained(path).save_pretrained(directory)
    for file in _SENTENCE_FILES:
        _copy(path, file, directory)
    if (directory / _MODULES).is_file():
        modules: list[dict[str, Any]] = json.loads((directory / _MODULES).read_text(encoding="utf-8"))
        folders = [module["path"] for module in modules]
        # Other paths are the encoder's own, or could lead out of the directory.
        for folder in (folder for folder in folders if folder != ".." and PurePath(folder).name == folder != ""):
            for file in _MODULE_FILES:
                _copy(path, f"{folder}/{file}", directory)


def _copy(path: str, name: str, directory: Path) -> None:
    """Copy a file of a checkpoint, a directory or a hub id, if there is one."""
    found = find_file(path, name)
    if found:
        (directory / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(found, directory / name)
