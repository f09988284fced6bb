"""FewLabelsTrainer: trains the model of a run with few labels, by a contrastive warm-up and rows without labels."""

import json
import logging
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import PartialState
from datasets import Dataset, concatenate_datasets
from sklearn.model_selection import StratifiedKFold

from textmix.config.run import RunConfig
from textmix.contrastive.head import fit_head, probabilities
from textmix.contrastive.warm_up import sentence_vectors, warm_up
from textmix.data.label_format import Array
from textmix.data.pool import load_pool
from textmix.data.splits import TEST, TRAIN
from textmix.data.standardize import TEXT
from textmix.data.tokenization import tokenize
from textmix.errors import ConfigError, RunError, TrainingError
from textmix.hooks.attached_mixer import AttachedMixer
from textmix.hooks.special_tokens import special_ids
from textmix.io.files import replacing, write_text
from textmix.io.run_directory import HISTORY, MODEL
from textmix.mixing.completion import complete
from textmix.models.calibration import fold_temperatures
from textmix.models.loading import LoadedModel
from textmix.models.sequence_classifier import MixupForSequenceClassification
from textmix.runs.data import RunData
from textmix.semi_supervised.shares import adapt_shares
from textmix.semi_supervised.spreading import spread_labels
from textmix.semi_supervised.trainer import SemiSupervisedTrainer
from textmix.tasks.evaluation import Evaluation
from textmix.training.optimization import choose_precision
from textmix.training.progress import TrainProgress
from textmix.training.steps import StepsMade, on_accelerator

logger = logging.getLogger(__name__)


class FewLabelsTrainer:
    """Trains one classifier in stages: contrastive warm-up, logistic head, rows without labels.

    Nothing is chosen on a validation split, and there are no checkpoints: a run that is resumed starts again.

    Args:
        config: All options, resolved.
        loaded: The model and its tokenizer.
        data: The data of the run; its report gets the digest of the pool.
        directory: Directory of the run.
        show_progress: Show a progress bar for each stage.

    Attributes:
        cross_fitted: What models that were trained without them say of the labelled rows; None without a cross-fit.

    Raises:
        ConfigError: If an option does not fit the model or the labels.
        DataError: If the pool cannot be read.
        ModelError: If the model lacks a site that the strategy needs.
        RunError: In one of several processes.
    """

    def __init__(
        self, config: RunConfig, loaded: LoadedModel, data: RunData, directory: Path, show_progress: bool
    ) -> None:
        if PartialState().num_processes > 1:
            raise RunError("training with few labels runs in one process; start it without the launcher")
        targets = data.targets[TRAIN]
        if targets.ndim > 1:
            raise ConfigError("training with few labels needs one class for each row, not probabilities of classes")
        assert isinstance(loaded.model, MixupForSequenceClassification)
        self._model, self._tokenizer = loaded.model, loaded.tokenizer
        self._config, self._directory, self._show_progress = config, directory, show_progress
        self.precision = choose_precision(config.train.precision)
        if self.precision == "fp16":
            raise ConfigError("train.precision fp16 needs a loss scaler, which few labels have not; use bf16 or fp32")
        self._labeled = tokenize(data.splits[TRAIN], self._tokenizer)
        self._targets = np.asarray(targets, dtype=np.int64)
        self._space, self._own = data.space, len(targets)
        self._check_folds()
        self._add_descriptions(data.space.names)
        self._mix = complete(
            config.mix, config.loss, lambda: special_ids(self._tokenizer), lambda: data.space.counts(targets)
        )
        AttachedMixer(self._model, self._mix, config.loss)  # now, as it raises what does not fit the model
        self._pool: Dataset | None = None
        self.cross_fitted: Evaluation | None = None
        if config.data.unlabeled is not None:
            self._check_view()
            seed = config.data.seed(config.train.seed)
            pool = load_pool(config.data, data.splits.get(TEST), config.unlabeled.max_rows, seed)
            self._pool = pool.rows
            data.report.digests["unlabeled"] = pool.digest
        warm_up_steps = config.contrastive.steps
        assert isinstance(warm_up_steps, int)  # filled in
        self.total_steps = warm_up_steps + (config.unlabeled.steps if self._pool is not None else 0)

    def _add_descriptions(self, names: list[str]) -> None:
        texts = self._config.data.descriptions(names)
        if texts:
            rows = tokenize(Dataset.from_dict({TEXT: list(texts.values())}), self._tokenizer)
            self._labeled = concatenate_datasets([self._labeled, rows])
            self._targets = np.concatenate([self._targets, [names.index(name) for name in texts]])

    def _check_folds(self) -> None:
        folds, most = self._config.contrastive.cross_fit, int(np.bincount(self._targets).max())
        if folds > most:
            raise ConfigError(f"contrastive.cross_fit {folds} needs a class with as many rows; the largest has {most}")

    def _check_view(self) -> None:
        if self._config.unlabeled.view == "mask" and self._tokenizer.mask_token_id is None:
            raise ConfigError(
                f"the tokenizer of {self._config.model.name} has no mask token for unlabeled.view mask; use cutoff or"
                " eda"
            )

    def train(self, resume: bool = False) -> TrainProgress:
        """Train all stages, and save the model.

        Args:
            resume: Has no effect: there are no checkpoints.

        Raises:
            TrainingError: If a loss, or a sentence vector, is not finite.
        """
        history = []
        with on_accelerator(self._model):
            if self._config.contrastive.cross_fit:
                self.cross_fitted = self._cross_fit()
            made = self._fit(np.arange(len(self._targets)))
            if made.steps:
                history.append({"stage": "contrastive", **made._asdict()})
            if self.cross_fitted is not None:
                fitted = self.cross_fitted
                fold_temperatures(self._model, fitted.space.temperatures(fitted.targets, fitted.outputs))
            if self._pool is not None:
                made = self._train_on_pool(self._pool)
                history.append({"stage": "unlabeled", **made._asdict()})
        write_text(self._directory / HISTORY, "".join(json.dumps(line) + "\n" for line in history))
        self._save()
        return self._progress(history)

    def _fit(self, numbers: Array) -> StepsMade:
        """Warm up the encoder on labelled rows, and fit the head to them.

        Args:
            numbers: Numbers of the rows.
        """
        config, made = self._config, StepsMade(0, 0.0, 0.0)
        rows, targets = self._labeled.select(numbers), self._targets[numbers]
        if config.contrastive.steps:
            made = warm_up(
                self._model,
                self._tokenizer,
                rows,
                targets,
                config.contrastive,
                self._mix,
                self.precision,
                config.train.seed,
                self._show_progress,
            )
        fit_head(self._model, self._vectors(rows), targets, config.contrastive.head_strength)
        return made

    def _cross_fit(self) -> Evaluation:
        """Predict each fold of the labelled rows by a model that was trained without it; the model ends as it began."""
        own, count = self._own, self._config.contrastive.cross_fit
        began = {name: value.clone() for name, value in self._model.state_dict().items()}
        folds = StratifiedKFold(count, shuffle=True, random_state=self._config.train.seed)
        outputs = np.zeros((own, self._model.num_labels))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of classes with fewer rows than folds
            for _, held_out in folds.split(np.zeros(own), self._targets[:own]):
                self._fit(np.setdiff1d(np.arange(len(self._targets)), held_out))
                outputs[held_out] = probabilities(self._model, self._vectors(self._labeled.select(held_out)))
                self._model.load_state_dict(began)
        found = Evaluation(self._targets[:own], outputs, self._space)
        low, high = found.metrics()["accuracy_interval"]
        logger.info(f"cross-fitted on {own} rows: accuracy {found.scores()['accuracy']:.2f} ({low:.2f} to {high:.2f})")
        return found

    def _vectors(self, rows: Dataset) -> Array:
        with torch.autocast(self._model.device.type, enabled=False):
            found = sentence_vectors(self._model, self._tokenizer, rows, self._config.train.eval_batch_size)
        if not np.isfinite(found).all():  # the last step may have done it: its loss was that before the step
            rate = self._config.contrastive.learning_rate
            raise TrainingError(f"the sentence vectors are not finite; lower contrastive.learning_rate (now {rate})")
        return found

    def _train_on_pool(self, pool: Dataset) -> StepsMade:
        config = self._config.unlabeled
        spread = self._use_vectors(pool)
        if not config.steps:
            return StepsMade(0, 0.0, 0.0)
        trainer = SemiSupervisedTrainer(
            self._model,
            self._tokenizer,
            self._labeled,
            self._targets,
            pool,
            spread,
            config,
            self._mix,
            self._config.loss,
            self.precision,
            self._config.train.seed,
        )
        return trainer.train(self._show_progress)

    def _use_vectors(self, pool: Dataset) -> Array | None:
        """Adapt the head to the vectors of the pool; returns the spread labels, if they are asked for."""
        config, classes = self._config.unlabeled, self._model.num_labels
        spreads = "spread" in config.guesses and (config.steps > 0 or config.fit_head)
        if not spreads and config.share_prior is None:
            return None
        unlabeled = self._vectors(tokenize(pool, self._tokenizer))
        if config.share_prior is not None:
            counts = np.bincount(self._targets, minlength=classes)
            adapt_shares(self._model, unlabeled, counts, config.share_prior)
        if not spreads:
            return None
        labeled = self._vectors(self._labeled)
        spread = spread_labels(labeled, self._targets, unlabeled, classes, config.neighbours, config.spread_alpha)
        if config.fit_head:
            guesses = np.concatenate(
                [np.eye(classes)[self._targets], (spread + probabilities(self._model, unlabeled)) / 2]
            )
            strength = self._config.contrastive.head_strength
            fit_head(self._model, np.concatenate([labeled, unlabeled]), guesses, strength)
        return spread

    def _save(self) -> None:
        with replacing(self._directory / MODEL) as temporary:
            self._model.save_pretrained(temporary)
            self._tokenizer.save_pretrained(temporary)

    def _progress(self, history: list[dict[str, Any]]) -> TrainProgress:
        sizes = {"contrastive": self._config.contrastive.batch_size}
        sizes["unlabeled"] = self._config.unlabeled.batch_size + self._config.unlabeled.labeled_batch_size
        return TrainProgress(
            step=sum(line["steps"] for line in history),
            samples=sum(line["steps"] * sizes[line["stage"]] for line in history),
            seconds=sum(line["seconds"] for line in history),
            history=history,
        )
