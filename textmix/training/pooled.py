"""Training on what a frozen encoder makes of the rows: its sentence vectors, computed once."""

import numpy as np
import torch
from datasets import Dataset
from transformers import DataCollatorWithPadding, PreTrainedTokenizerBase

from textmix.errors import ConfigError
from textmix.mixing.config import MixConfig
from textmix.mixing.strategies.base import POOLED as POOLED
from textmix.mixing.strategies.base import STRATEGIES, build_strategy
from textmix.models.encoder import MixupForSequenceClassification


def check_pooled(mix: MixConfig) -> None:
    """Make sure that a strategy needs no more of a row than its sentence vector.

    Raises:
        ConfigError: If it mixes elsewhere, or chooses partners by what is not there.
    """
    if any(site != POOLED for site in build_strategy(mix).sites(1)):
        fitting = [name for name, kind in STRATEGIES.items() if set(kind(MixConfig()).sites(1)) <= {POOLED}]
        raise ConfigError(
            f"with model.freeze encoder only sentence vectors are mixed: mix.strategy {mix.strategy} mixes elsewhere;"
            f" use one of {', '.join(fitting)}"
        )
    if mix.partner in ("nearest", "farthest", "length"):
        raise ConfigError(f"mix.partner {mix.partner} needs the tokens of a row; model.freeze encoder keeps none")


def pool_rows(
    model: MixupForSequenceClassification,
    tokenizer: PreTrainedTokenizerBase,
    data: Dataset,
    batch_size: int,
) -> Dataset:
    """Run the encoder over tokenised rows once, without dropout.

    Args:
        model: The classifier, whose encoder and pooling are frozen.
        tokenizer: Pads the batches.
        data: Tokenised rows with `labels`.
        batch_size: Rows of a batch.

    Returns:
        A data set with the columns `pooled`, float32 vectors of width H, and `labels`; the order of rows is kept.
    """
    collate, labels = DataCollatorWithPadding(tokenizer), data["labels"][:]
    inputs = data.remove_columns("labels")
    order = np.argsort([-len(ids) for ids in inputs["input_ids"]], kind="stable")
    vectors = torch.empty(len(data), model.encoder.config.get_text_config().hidden_size)
    model.train(False)
    with torch.inference_mode():
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            batch = collate([inputs[int(row)] for row in rows])
            on_device = {name: value.to(model.device) for name, value in batch.items()}
            vectors[rows] = model.pool(**on_device).float().cpu()
    model.train()
    return Dataset.from_dict({POOLED: vectors.numpy(), "labels": labels}).with_format("torch")
