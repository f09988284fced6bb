"""Choose the pooling of an encoder for `pooling="auto"`."""

import json
from pathlib import Path
from typing import Any

from transformers import PretrainedConfig
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES, MODEL_FOR_MASKED_LM_MAPPING_NAMES
from transformers.utils import cached_file

from textmix.models.pooling import PoolingName

# By its name in sentence-transformers, and by the flags that earlier versions write.
_DECLARED: dict[str, PoolingName] = {"cls": "cls", "mean": "mean", "max": "max", "lasttoken": "last"}
_FLAGS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_lasttoken": "lasttoken",
}


def choose_pooling(path: str | None, config: PretrainedConfig) -> PoolingName:
    """Choose a pooling for an encoder.

    The order of precedence is: the pooling that a sentence-transformers checkpoint declares; `classifier_pooling` of
    the configuration (ModernBERT); the usual pooling of the architecture. That is the first token for masked language
    models, the last token for models that are only causal language models, and the mean for all others.

    Args:
        path: Hub id or directory of the checkpoint; None if it has none.
        config: Its configuration.
    """
    declared = (_read_json(path, "1_Pooling/config.json") if path else None) or {}
    modes = declared.get("pooling_mode") or [mode for flag, mode in _FLAGS.items() if declared.get(flag)]
    for mode in [modes] if isinstance(modes, str) else modes:
        if mode in _DECLARED:
            return _DECLARED[mode]
    configured = getattr(config, "classifier_pooling", None)
    if configured in ("cls", "mean"):
        return "cls" if configured == "cls" else "mean"
    if config.model_type in MODEL_FOR_MASKED_LM_MAPPING_NAMES:
        return "cls"
    return "last" if config.model_type in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES else "mean"


def declared_max_length(path: str) -> int | None:
    """Return the maximum input length in tokens that a sentence-transformers checkpoint declares, else None."""
    declared = _read_json(path, "sentence_bert_config.json") or {}
    return declared.get("max_seq_length")


def find_file(path: str, name: str) -> str | None:
    """Return the local path of a file of a checkpoint, a directory or a hub id; None if it has none."""
    found: str | None = cached_file(
        path,
        name,
        _raise_exceptions_for_gated_repo=False,
        _raise_exceptions_for_missing_entries=False,
        _raise_exceptions_for_connection_errors=False,
    )
    return found


def _read_json(path: str, name: str) -> dict[str, Any] | None:
    found = find_file(path, name)
    return json.loads(Path(found).read_text(encoding="utf-8")) if found else None
