"""Contrastive warm-up: train the encoder so that rows of one class have similar sentence vectors."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from datasets import Dataset
from torch import Tensor, nn
from transformers import DataCollatorWithPadding, PreTrainedTokenizerBase

from textmix.config.contrastive import VIEWS, ContrastiveConfig
from textmix.contrastive.batches import balanced_batches
from textmix.contrastive.loss import ContrastiveMixer
from textmix.data.label_format import Array
from textmix.mixing.config import MixConfig
from textmix.mixing.loss_config import LossConfig
from textmix.models.logits import run_longest_first
from textmix.models.sequence_classifier import MixupForSequenceClassification
from textmix.training.cpu.embedding import compact_embedding
from textmix.training.steps import Steps, StepsMade, run_steps


def warm_up(
    model: MixupForSequenceClassification,
    tokenizer: PreTrainedTokenizerBase,
    rows: Dataset,
    targets: Array,
    config: ContrastiveConfig,
    mix: MixConfig,
    precision: Literal["fp32", "bf16", "fp16"],
    seed: int,
    show_progress: bool = True,
) -> StepsMade:
    """Train the encoder of a classifier; its head stays as it is.

    Args:
        model: The classifier, on the device to train on.
        tokenizer: Pads the batches.
        rows: N tokenised rows, without labels.
        targets: Class of each row, shape (N,).
        config: How to train; `steps` must be above 0.
        mix: How rows are mixed.
        precision: `fp32`, or the precision of autocast.
        seed: Seed of batches, dropout and mixing.
        show_progress: Show a progress bar.

    Raises:
        TrainingError: If the loss is not finite.
    """
    assert isinstance(config.steps, int)  # filled in
    torch.manual_seed(seed)
    before = {name: value.detach().clone() for name, value in _trained(model)}
    batches = balanced_batches(targets, max(1, config.batch_size // VIEWS), seed)
    collate = DataCollatorWithPadding(tokenizer)
    steps = Steps(
        config.steps,
        config.learning_rate,
        config.warmup_ratio,
        "contrastive warm-up",
        "contrastive.learning_rate",
        "train.precision",
        show_progress,
    )

    def compute_loss(step: int) -> Tensor:
        numbers = np.tile(next(batches), VIEWS)
        inputs = collate([rows[int(number)] for number in numbers])
        labels = torch.from_numpy(targets[numbers].astype(np.int64))
        mixer.progress = step / steps.count
        batch = {name: value.to(model.device) for name, value in {**inputs, "labels": labels}.items()}
        loss: Tensor = model(**batch).loss
        return loss

    with ExitStack() as stack:
        stack.enter_context(compact_embedding(model, tokenizer, rows, mix))
        stack.enter_context(_sentence_vectors(model))
        mixer = ContrastiveMixer(model.num_labels, config.temperature, model, mix, LossConfig(), seed)
        mixer.attach()
        stack.callback(mixer.detach)
        made = run_steps(model, steps, precision, compute_loss)
    if config.interpolation < 1:
        _interpolate(model, before, config.interpolation)
    return made


@contextmanager
def _sentence_vectors(model: MixupForSequenceClassification) -> Iterator[None]:
    """Let a classifier return its sentence vectors as logits, through an identity, for a `with` block."""
    head, dropout = model.classifier, model.dropout
    size = head.in_features
    identity = nn.Linear(size, size, bias=False, device=head.weight.device, dtype=head.weight.dtype)
    with torch.no_grad():
        identity.weight.copy_(torch.eye(size))
    model.classifier, model.dropout = identity.requires_grad_(False), nn.Dropout(0.0)
    names = model.config.id2label, model.config.label2id
    model.config.num_labels = size  # the number of outputs, by which mixing finds the last linear map
    try:
        yield
    finally:
        model.classifier, model.dropout = head, dropout
        model.config.id2label, model.config.label2id = names


def _trained(model: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    return ((name, value) for name, value in model.named_parameters() if value.requires_grad)


@torch.no_grad()
def _interpolate(model: nn.Module, before: dict[str, Tensor], share: float) -> None:
    """Average trained weights with those before (Wortsman et al. 2022)."""
    for name, value in _trained(model):
        value.copy_(torch.lerp(before[name], value, share))


def sentence_vectors(
    model: MixupForSequenceClassification, tokenizer: PreTrainedTokenizerBase, rows: Dataset, batch_size: int
) -> npt.NDArray[np.float32]:
    """Compute the sentence vectors of tokenised rows as the head gets them, shape (N, H)."""
    lengths = [len(ids) for ids in rows["input_ids"]]
    vectors: Any = run_longest_first(model, model.pool, tokenizer, rows, lengths, batch_size)
    return np.asarray(vectors.numpy())
