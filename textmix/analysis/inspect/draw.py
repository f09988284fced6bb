"""Draw plans for real rows by the mechanism of training, and lay out what they make of them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from textmix.analysis.inspect.layout import Frame, Texts, lay_out
from textmix.analysis.inspect.pairs import Pair
from textmix.data.tokenization import tokenize_batch
from textmix.errors import ConfigError, DataError
from textmix.hooks.attach import attach
from textmix.mixing.config import MixConfig
from textmix.mixing.loss_config import LossConfig
from textmix.mixing.mixer import MixObserver
from textmix.mixing.options import AnyOptions
from textmix.mixing.plan import MixPlan


def draw_pairs(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    texts: Texts,
    mix: MixConfig,
    loss: LossConfig,
    count: int = 5,
    batch_size: int = 32,
    max_length: int = 48,
    seed: int = 0,
) -> Iterator[Pair]:
    """Draw pairs, each from a training step of its own, so that λ, site and partners vary as they do in training.

    The plan is drawn and applied by the mixer itself in an ordinary forward pass, without dropout, half way between
    `mix.start` and `mix.stop`. Only steps that are mixed are drawn, whatever `mix.probability` and
    `mix.any.choices` say.

    Args:
        model: A classifier; it is left as it was.
        tokenizer: Its tokenizer.
        texts: Rows to draw from, in an order that `seed` fixes.
        mix: How to mix, with class counts and special tokens filled in.
        loss: How to score; saliency depends on it.
        count: How many pairs; no more than there are rows.
        batch_size: Rows of a step; no more than there are rows.
        max_length: Texts are cut at this many tokens.
        seed: Seed of order and plans.

    Yields:
        The pairs, each once its step is done.

    Raises:
        ConfigError: If nothing is mixed.
        DataError: If there are fewer than two rows.
        ModelError: If the model lacks a site.
    """
    mix = _always_mixed(mix)
    size = len(texts.texts)
    if size < 2:
        raise DataError("a single row has no partner; inspect needs at least two")
    order = torch.randperm(size, generator=torch.Generator().manual_seed(seed)).tolist()
    with attach(model, mix, seed=seed, loss=loss) as mixer, _training_without_dropout(model):
        mixer.progress = (mix.start + mix.stop) / 2
        recorder = _Recorder()
        mixer.observers.append(recorder)
        for step in range(min(count, size)):
            numbers = [order[(step + offset) % size] for offset in range(min(batch_size, size))]
            batch = _encode(tokenizer, texts, numbers, max_length).to(model.device)
            labels = torch.tensor([texts.labels[number] for number in numbers], device=model.device)
            with torch.no_grad():
                model(**batch, labels=labels)
            assert mixer.plan is not None  # every step is mixed
            yield lay_out(
                step, mixer.plan.mixed or mixer.plan, recorder.mixed, Frame(model, tokenizer, texts, numbers, batch)
            )


def _always_mixed(mix: MixConfig) -> MixConfig:
    chances = mix.any.choices if mix.strategy == "any" else {mix.strategy: 1.0}
    mixed = {name: chance for name, chance in (chances or {}).items() if name != "none" and chance > 0}
    if not mixed:
        raise ConfigError("strategy 'none' mixes nothing, so that there is nothing to see; choose another --strategy")
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
    """Put the model itself into training mode, which is when a mixer acts, and all that is inside into eval mode."""
    modes = {module: module.training for module in model.modules()}
    model.eval().training = True
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


class _Recorder(MixObserver):
    """Keeps what applying the last plan made of the batch.

    Attributes:
        mixed: The B mixed rows at the site: token ids (B, L), hidden states (B, L, H) or sentence vectors (B, H).
    """

    mixed: Tensor

    def applied(self, plan: MixPlan, mixed: Tensor) -> None:
        """Keep the mixed rows."""
        self.mixed = mixed[plan.clean :]
