"""SemiSupervisedTrainer: trains on labelled rows and on rows whose labels are guessed."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from datasets import Dataset
from torch import Tensor
from torch.nn import functional as F
from transformers import DataCollatorWithPadding, PreTrainedModel, PreTrainedTokenizerBase

from textmix.config.unlabeled import UnlabeledConfig
from textmix.contrastive.batches import balanced_batches
from textmix.data.label_format import Array
from textmix.data.standardize import text_columns
from textmix.data.tokenization import encode
from textmix.hooks.attached_mixer import AttachedMixer
from textmix.mixing.config import MixConfig
from textmix.mixing.loss_config import LossConfig
from textmix.mixing.sampling import seeded
from textmix.semi_supervised.guesses import Confidence
from textmix.semi_supervised.views import change_words, hide_tokens, mask_tokens
from textmix.training.ema import averaged
from textmix.training.steps import Steps, StepsMade, autocast, run_steps

Numbers = npt.NDArray[np.int64]
Batch = dict[str, Tensor]
_STREAM = 2**20 - 4


class SemiSupervisedTrainer:
    """Trains a classifier on labelled rows and on a pool of rows whose labels are guessed in each step.

    A step's loss is the mean over labelled rows plus `weight` times the weighted mean over unlabelled rows; both are
    in one batch, in which the mixer finds the partners.

    Args:
        model: A sequence classifier, on the device to train on.
        tokenizer: Its tokenizer.
        labeled: N tokenised rows, without labels.
        targets: Class of each, shape (N,).
        pool: M rows with texts.
        spread: Probabilities of the classes of the pool that were guessed before, shape (M, C); None where `guesses`
            does not name `spread`.
        config: How to train.
        mix: How rows are mixed.
        loss: How rows are scored.
        precision: `fp32`, or the precision of autocast.
        seed: Seed of batches, views, dropout and mixing.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        labeled: Dataset,
        targets: Array,
        pool: Dataset,
        spread: Array | None,
        config: UnlabeledConfig,
        mix: MixConfig,
        loss: LossConfig,
        precision: Literal["fp32", "bf16", "fp16"],
        seed: int,
    ) -> None:
        self._model, self._tokenizer, self._device = model, tokenizer, model.device
        self._labeled, self._targets, self._texts = labeled, targets, text_columns(pool)
        self._config, self._precision, self._seed = config, precision, seed
        classes = model.config.num_labels
        assert isinstance(classes, int)
        self._classes = classes
        self._mixer = AttachedMixer(model, mix, loss, seed)
        self._spread = None if spread is None else torch.from_numpy(spread).float().to(self._device)
        self._ensemble = torch.zeros(len(pool), self._classes, device=self._device)
        self._visits = torch.zeros(len(pool), 1, device=self._device)
        self._average = averaged(model, config.ema_decay) if "average" in config.guesses else None
        self._confidence = Confidence(config, self._classes, len(pool), self._device)
        self._generator, self._random = seeded(seed, _STREAM, 20), np.random.default_rng(seed)
        self._collate = DataCollatorWithPadding(tokenizer)
        self._special = torch.tensor(tokenizer.all_special_ids)

    def train(self, show_progress: bool = True) -> StepsMade:
        """Train for `config.steps` steps, at least one.

        Raises:
            TrainingError: If the loss is not finite.
        """
        config = self._config
        torch.manual_seed(self._seed)
        batches = balanced_batches(self._targets, config.labeled_batch_size, self._seed)
        pool = self._pool_batches()
        steps = Steps(
            config.steps,
            config.learning_rate,
            config.warmup_ratio,
            "unlabelled rows",
            "unlabeled.learning_rate",
            "train.precision",
            show_progress,
        )
        average = self._average
        with ExitStack() as stack:
            self._mixer.attach()
            stack.callback(self._mixer.detach)
            return run_steps(
                self._model,
                steps,
                self._precision,
                lambda step: self._loss(step / config.steps, next(batches), next(pool)),
                (lambda: average.update_parameters(self._model)) if average is not None else (lambda: None),
            )

    def _pool_batches(self) -> Iterator[Numbers]:
        """Yield rows of the pool without end, all of them before any comes again."""
        size = min(self._config.batch_size, len(self._ensemble))
        while True:
            order = self._random.permutation(len(self._ensemble))
            for start in range(0, len(order) - size + 1, size):
                yield order[start : start + size]

    def _loss(self, progress: float, labeled: Numbers, unlabeled: Numbers) -> Tensor:
        config = self._config
        own = F.one_hot(torch.from_numpy(self._targets[labeled].astype(np.int64)), self._classes).float()
        own = own.to(self._device)
        texts = [column.take(unlabeled) for column in self._texts]
        numbers = torch.from_numpy(unlabeled).to(self._device)
        with autocast(self._device, self._precision, cache_enabled=False):
            guessed = self._guess(texts, numbers)
        # A model that is no longer finite is told by its loss, after a look at which its options are named.
        guesses, weights = self._confidence.process(guessed.nan_to_num(), own.mean(dim=0), numbers)
        count = len(labeled) + len(unlabeled)
        scale = config.weight * min(1.0, progress / config.ramp if config.ramp else 1.0)
        batch = self._joined([self._labeled[int(number)] for number in labeled], texts)
        self._mixer.progress = progress
        # The loss divides by all rows: these factors make it the sum of two means.
        sample_weight = torch.cat(
            [torch.full_like(own[:, 0], count / len(labeled)), weights * (scale * count / len(unlabeled))]
        )
        loss: Tensor = self._model(**batch, labels=torch.cat([own, guesses]), sample_weight=sample_weight).loss
        return loss

    def _joined(self, labeled: list[dict[str, list[int]]], texts: list[list[str]]) -> Batch:
        """Return a batch of labelled rows and of changed rows of the pool."""
        config = self._config
        if config.view == "eda":
            texts = [[change_words(text, config.view_rate, self._random) for text in part] for part in texts]
        batch = self._collate([*labeled, *self._encode(texts)])
        rows = slice(len(labeled), None)
        ids, mask = batch["input_ids"][rows], batch["attention_mask"][rows]
        drawing = self._special, config.view_rate
        if config.view == "cutoff":
            batch["attention_mask"][rows] = hide_tokens(ids, mask, *drawing, self._generator)
        elif config.view == "mask":
            mask_id = self._tokenizer.mask_token_id
            batch["input_ids"][rows] = mask_tokens(ids, mask, *drawing, mask_id, self._generator)
        return self._placed(batch)

    @torch.no_grad()
    def _guess(self, texts: list[list[str]], numbers: Tensor) -> Tensor:
        """Guess the labels of rows of the pool; returns probabilities, shape (B, C)."""
        kinds, found = self._config.guesses, []
        batch: Batch = {}
        if {*kinds} - {"spread"}:
            batch = self._placed(self._collate(self._encode(texts)))
        if "model" in kinds or "ensemble" in kinds:
            own = self._predict(self._model, batch)
            found += [own] if "model" in kinds else []
            if "ensemble" in kinds:
                decay = self._config.ema_decay
                self._ensemble[numbers] = torch.lerp(own, self._ensemble[numbers], decay)
                self._visits[numbers] += 1
                found.append(self._ensemble[numbers] / (1 - decay ** self._visits[numbers]))
        if self._average is not None:
            self._average.module.to(self._device)
            found.append(self._predict(self._average.module, batch))
        if self._spread is not None:
            found.append(self._spread[numbers])
        return torch.stack(found).mean(dim=0)

    def _predict(self, model: torch.nn.Module, batch: Batch) -> Tensor:
        """Return the mean probabilities of several passes with dropout, or those of one pass without."""
        views = self._config.views
        was_training = model.training
        model.train(views > 0)
        try:  # without labels, nothing is mixed
            return torch.stack([model(**batch).logits.float().softmax(dim=1) for _ in range(max(1, views))]).mean(dim=0)
        finally:
            model.train(was_training)

    def _encode(self, texts: list[list[str]]) -> list[dict[str, list[int]]]:
        return encode(self._tokenizer, texts[0], texts[1] if len(texts) > 1 else None)

    def _placed(self, batch: Batch) -> Batch:
        return {name: value.to(self._device) for name, value in batch.items()}
