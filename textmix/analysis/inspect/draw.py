"""Draw plans for real rows with the mixer that training uses, and lay out the mixed rows."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import BatchEncoding, PreTrainedModel, PreTrainedTokenizerBase

from textmix.analysis.inspect.layout import Frame, Texts, lay_out
from textmix.analysis.inspect.pairs import Pair
from textmix.data.tokenization import tokenize_batch
from textmix.data.tokens import piece_labels
from textmix.errors import ConfigError, DataError
from textmix.hooks.attach import attach
from textmix.mixing.config import MixConfig
from textmix.mixing.loss_config import LossConfig
from textmix.mixing.mixer import MixObserver
from textmix.mixing.options import AnyOptions
from textmix.mixing.plan import MixPlan


@dataclass(frozen=True)
class DrawOptions:
    """Number and size of the steps to draw.

    Args:
        count: Number of pairs, at most the number of rows.
        batch_size: Rows of a step, at most the number of rows.
        max_length: Maximum number of tokens; longer texts are cut.
        seed: Seed of the order of the rows and of the plans.
    """

    count: int = 5
    batch_size: int = 32
    max_length: int = 48
    seed: int = 0


def draw_pairs(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    texts: Texts,
    mix: MixConfig,
    loss: LossConfig,
    options: DrawOptions | None = None,
) -> Iterator[Pair]:
    """Draw pairs, each in a separate training step, so that λ, site and partners vary as in training.

    The mixer draws and applies each plan in an ordinary forward pass without dropout, half way between `mix.start` and
    `mix.stop`. Every step is mixed, whatever `mix.probability` and `mix.any.choices` say.

    Args:
        model: A classifier; it is not changed.
        tokenizer: Its tokenizer.
        texts: Rows to draw from, in an order that the seed fixes.
        mix: How to mix, with class counts and special tokens filled in.
        loss: How to score; saliency depends on it.
        options: Number and size of the steps; None means the defaults.

    Yields:
        The pairs, each after its step.

    Raises:
        ConfigError: If nothing is mixed.
        DataError: If there are fewer than two rows.
        ModelError: If the model lacks a site.
    """
    options = options or DrawOptions()
    mix = _always_mixed(mix)
    if len(texts.texts) < 2:
        raise DataError("a single row has no partner; inspect needs at least two")
    with attach(model, mix, seed=options.seed, loss=loss) as mixer, _training_without_dropout(model):
        mixer.progress = (mix.start + mix.stop) / 2
        mixer.observers.append(recorder := _Recorder())
        for step, numbers in enumerate(_steps(len(texts.texts), options)):
            frame = Frame(model, tokenizer, texts, numbers, _run_step(model, tokenizer, texts, numbers, options))
            assert mixer.plan is not None  # every step is mixed
            yield lay_out(step, mixer.plan.mixed or mixer.plan, recorder.mixed, frame)


def _run_step(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, texts: Texts, numbers: list[int], options: DrawOptions
) -> BatchEncoding:
    """Run the model over some rows with their labels; returns the batch."""
    batch: BatchEncoding = _encode(tokenizer, texts, numbers, options.max_length).to(model.device)
    labels = texts.labels[numbers]
    if labels.dtype == object:  # tags of tokens
        labels = np.array([piece_labels(batch[row].offsets, tagged) for row, tagged in enumerate(labels)])
    with torch.no_grad():
        model(**batch, labels=torch.tensor(labels.tolist(), device=model.device))
    return batch


def _steps(size: int, options: DrawOptions) -> Iterator[list[int]]:
    """Yield the numbers of the rows of each step; each step begins with another row."""
    order = torch.randperm(size, generator=torch.Generator().manual_seed(options.seed)).tolist()
    for step in range(min(options.count, size)):
        yield [order[(step + offset) % size] for offset in range(min(options.batch_size, size))]


def _always_mixed(mix: MixConfig) -> MixConfig:
    chances = mix.any.choices if mix.strategy == "any" else {mix.strategy: 1.0}
    mixed = {name: chance for name, chance in (chances or {}).items() if name != "none" and chance > 0}
    if not mixed:
        raise ConfigError("strategy 'none' mixes nothing, so there is nothing to show; choose another --strategy")
    return replace(mix, probability=1.0, any=AnyOptions(mixed) if mix.strategy == "any" else mix.any)


def _encode(tokenizer: PreTrainedTokenizerBase, texts: Texts, numbers: list[int], max_length: int) -> Any:
    pairs = [texts.pairs[number] for number in numbers] if texts.pairs is not None else None
    return tokenize_batch(
        tokenizer,
        [texts.texts[number] for number in numbers],
        pairs,
        max_length=max_length,
        padding=True,
        return_attention_mask=True,
        return_tensors="pt",
    )


@contextmanager
def _training_without_dropout(model: nn.Module) -> Iterator[None]:
    """Put the model into training mode, in which a mixer acts, but all its submodules into eval mode."""
    modes = {module: module.training for module in model.modules()}
    model.eval().training = True
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


class _Recorder(MixObserver):
    """Keeps the batch that the last plan mixed.

    Attributes:
        mixed: The B mixed rows at the site: token ids (B, L), hidden states (B, L, H) or sentence vectors (B, H).
    """

    mixed: Tensor

    def applied(self, plan: MixPlan, mixed: Tensor) -> None:
        """Keep the mixed rows."""
        self.mixed = mixed[plan.clean :]
