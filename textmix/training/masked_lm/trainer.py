"""Train a masked language model on pieces of texts, and score it."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from textmix.config.adapt import AdaptConfig
from textmix.io.compat import current_accelerator
from textmix.mixing.sampling import seeded
from textmix.training.batches import EpochBatches
from textmix.training.masked_lm.masking import mask_words
from textmix.training.masked_lm.pieces import Pieces
from textmix.training.steps import Steps, autocast, run_steps

# Gururangan et al. 2020 (RoBERTa): a warm-up of 6 %, then linear.
_WARMUP = 0.06
_TRAINING_STREAM, _EVALUATION_STREAM = 2**20 - 2, 2**20 - 3

Numbers = npt.NDArray[np.int64]


class MaskedScores(NamedTuple):
    """How well masked tokens are predicted.

    Args:
        loss: Mean cross-entropy of a token.
        accuracy: Share of the tokens that are predicted.
        tokens: Number of tokens.
    """

    loss: float
    accuracy: float
    tokens: int


@contextmanager
def _only(model: PreTrainedModel, chosen: Tensor) -> Iterator[None]:
    """Let the head of a masked language model see only the hidden states of some positions, as one row."""

    def select(module: nn.Module, args: Any, output: Any) -> Any:
        output.last_hidden_state = output.last_hidden_state[chosen].unsqueeze(0)
        return output

    handle = model.base_model.register_forward_hook(select)
    try:
        yield
    finally:
        handle.remove()


def masked_logits(model: PreTrainedModel, input_ids: Tensor, attention_mask: Tensor, chosen: Tensor) -> Tensor:
    """Compute the logits of chosen tokens only: those of all tokens need a gigabyte for 32 rows of 256 tokens.

    Args:
        model: A masked language model.
        input_ids: Shape (B, T).
        attention_mask: Shape (B, T).
        chosen: Shape (B, T), boolean, with M true values.

    Returns:
        Shape (M, vocabulary), in float32.
    """
    with _only(model, chosen):
        logits: Tensor = model(input_ids=input_ids, attention_mask=attention_mask).logits
    return logits[0].float()


class MaskedTrainer:
    """Trains a masked language model.

    Args:
        model: The model; it is moved to the accelerator if there is one.
        tokenizer: Its tokenizer.
        pieces: The pieces of texts.
        train: Numbers of the pieces to train on.
        config: The options.
        precision: What `config.precision` comes to on this machine.

    Attributes:
        total_steps: Number of optimizer steps.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        pieces: Pieces,
        train: Numbers,
        config: AdaptConfig,
        precision: Literal["fp32", "bf16"],
    ) -> None:
        self._device = current_accelerator() or torch.device("cpu")
        self._model = model
        nn.Module.to(model, self._device)
        self._tokenizer = tokenizer
        self._pieces = pieces
        self._train = train
        self._config = config
        self._precision = precision
        lengths = pieces.lengths_of(train)
        self._batches = EpochBatches(len(train), config.batch_size, config.seed, lengths=lengths)
        self.total_steps = config.max_steps or config.epochs * len(self._batches)

    def run(self) -> None:
        """Train.

        Raises:
            TrainingError: If the loss is not finite.
        """
        config, order = self._config, self._order()
        generator = seeded(config.seed, _TRAINING_STREAM, 20)
        options = ("--learning_rate", "--precision")
        steps = Steps(self.total_steps, config.learning_rate, _WARMUP, "masked tokens", *options)

        def compute_loss(step: int) -> Tensor:
            logits, targets = self._predict(next(order), generator)
            # The sum over at least one: a batch of short texts may have no masked word.
            return F.cross_entropy(logits, targets, reduction="sum") / max(len(targets), 1)

        run_steps(self._model, steps, self._precision, compute_loss)

    @torch.inference_mode()
    def evaluate(self, numbers: Numbers) -> MaskedScores | None:
        """Score pieces, with the same masks each time.

        Args:
            numbers: Their numbers.

        Returns:
            None if no token was masked.
        """
        self._model.eval()
        generator = seeded(self._config.seed, _EVALUATION_STREAM, 20)
        loss, right, tokens = 0.0, 0, 0
        for begin in range(0, len(numbers), self._config.batch_size):
            logits, targets = self._predict(numbers[begin : begin + self._config.batch_size], generator)
            loss += F.cross_entropy(logits, targets, reduction="sum").item()
            right += int((logits.argmax(-1) == targets).sum())
            tokens += len(targets)
        return MaskedScores(loss / tokens, right / tokens, tokens) if tokens else None

    def _order(self) -> Iterator[Numbers]:
        """Yield the pieces of each batch, epoch after epoch."""
        for epoch in count():
            self._batches.epoch = epoch
            for batch in self._batches:
                yield self._train[batch]

    def _predict(self, numbers: Numbers, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Mask pieces; returns the logits of the M chosen tokens, shape (M, vocabulary), and the tokens, shape (M,)."""
        tokenizer = self._tokenizer
        ids, words, attention_mask = self._pieces.batch(numbers, tokenizer.pad_token_id or 0)
        probability, mask_id = self._config.mask_probability, tokenizer.mask_token_id
        masked = mask_words(ids, words, probability, mask_id, len(tokenizer), generator)
        inputs = [tensor.to(self._device) for tensor in (masked.input_ids, attention_mask, masked.chosen)]
        with autocast(self._device, self._precision):
            logits = masked_logits(self._model, *inputs)
        return logits, ids[masked.chosen].to(self._device)
