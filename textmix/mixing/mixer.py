"""Mixer: draws a plan for each training batch and scores the model's logits. It acts on a model through `attach`."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from textmix.errors import ConfigError
from textmix.mixing.batch import MixBatch
from textmix.mixing.confidence import trusted_labels
from textmix.mixing.config import MixConfig
from textmix.mixing.loss_config import LossConfig
from textmix.mixing.losses import (
    Blend,
    Scoring,
    are_classes,
    blended_accuracy,
    blended_loss,
    items,
    resolve_problem_type,
)
from textmix.mixing.plan import MixPlan, with_clean_rows
from textmix.mixing.registry import build_strategy
from textmix.mixing.remix import remix
from textmix.mixing.row_labels import clean_labels, mixed_labels
from textmix.mixing.sampling import scheduled_alpha, seeded
from textmix.mixing.site_names import POOLED
from textmix.mixing.strategy import Strategy


class MixObserver:
    """Base class of the entries of `mixer.observers`; override the methods you need."""

    def applied(self, plan: MixPlan, mixed: Tensor) -> None:
        """Take the mixed batch at the site: token ids (B, L), hidden states (B, L, H), or sentence vectors (B, H)."""

    def scored(self, rows: int, loss: Tensor) -> None:
        """Take the number of rows and the loss of a batch; `mixer.plan` and `mixer.metrics` describe it."""


class Mixer:
    """Draws plans from its own generator, and scores logits against blended targets.

    Args:
        config: How to mix.
        loss: How to score.
        num_blocks: Number of blocks of the model.
        hidden_size: Size of its hidden states; None if it is not known.
        seed: Seed of the generator.
        rank: Rank of this process, so that each process draws differently.

    Attributes:
        config: How to mix.
        plan: The plan of the last forward pass; None if it was not mixed.
        generator: The source of every draw; on the CPU, so that a seed gives the same draws on every device.
        progress: Finished share of the training run, in [0, 1], set by the training loop; None before.
        observers: Called with each mixed and each scored batch.
    """

    def __init__(
        self,
        config: MixConfig,
        loss: LossConfig,
        num_blocks: int,
        hidden_size: int | None = None,
        seed: int = 0,
        rank: int = 0,
    ) -> None:
        self.config = config
        self.loss = loss
        self.plan: MixPlan | None = None
        self.generator = seeded(seed, rank, 16)
        self.progress: float | None = None
        self.observers: list[MixObserver] = []
        self._scored: tuple[Tensor, Blend, MixPlan | None, bool] | None = None
        self._hidden_size = hidden_size
        self._members = build_strategy(config).members
        self._sites = [member.sites(num_blocks) for member, _ in self._members]
        self._regmix = self._clean_rows()
        self._chances = torch.tensor([chance for _, chance in self._members])
        self._tensors: dict[tuple[str, torch.device], Tensor] = {}
        self._check()

    def _clean_rows(self) -> float | None:
        """Return η of the mixed rows beside the clean ones; None for mixed rows alone."""
        if self.config.regmix != "auto":
            return self.config.regmix
        return 1.0 if set(self.sites) <= {POOLED} else None

    def _check(self) -> None:
        wrong = []
        if any(member.needs_special_ids for member, _ in self._members) and self.config.special_ids is None:
            wrong.append(
                f"strategy '{self.config.strategy}' must know the special tokens, which are never cut: set"
                " special_ids=special_ids(tokenizer)"
            )
        if self.config.targets == "remix" and self.config.class_counts is None:
            wrong.append("targets 'remix' must know how many training rows each class has: set class_counts")
        if self.loss.class_weights == "balanced" and self.config.class_counts is None:
            wrong.append("class_weights 'balanced' must know how many training rows each class has: set class_counts")
        if wrong:
            raise ConfigError("; ".join(wrong))

    @property
    def sites(self) -> tuple[str, ...]:
        """Every site that a plan may name."""
        return tuple(dict.fromkeys(site for sites in self._sites for site in sites))

    @property
    def metrics(self) -> dict[str, Tensor]:
        """Metrics of the last training forward pass, as tensors on the model's device; computed on access.

        `lam` (mean weight of a row itself) and, for integer labels, `accuracy` (λ-weighted).
        """
        if self._scored is None:
            return {}
        logits, blend, plan, classes = self._scored
        metrics = {"lam": torch.ones((), device=logits.device) if plan is None else plan.lam.mean()}
        return {**metrics, "accuracy": blended_accuracy(logits, blend)} if classes else metrics

    def state_dict(self) -> dict[str, Tensor]:
        """Return the generator's state, with which a resumed run repeats the uninterrupted one."""
        return {"generator": self.generator.get_state()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Restore what `state_dict` returned."""
        self.generator.set_state(state["generator"].cpu())

    def draw(
        self,
        labels: Tensor,
        input_ids: Tensor | None = None,
        mask: Tensor | None = None,
        **finders: Callable[[], Tensor],
    ) -> MixPlan | None:
        """Draw the plan for a batch.

        Args:
            labels: Targets, shape (B,), (B, C) or (B, L).
            input_ids: Token ids, shape (B, L).
            mask: Real positions, shape (B, L), bool.
            **finders: `find_means`, `find_saliency` and `find_probabilities` of `MixBatch`.

        Returns:
            The plan; None if this batch is not mixed: B = 1, strategy `none`, by chance (`probability`), or at this
            point of training (`start`, `stop`, `alpha_schedule`).

        Raises:
            ConfigError: If the strategy or the partners need what the batch does not have.
        """
        alpha = self._alpha() if labels.shape[0] > 1 else None
        chosen = self._choose() if alpha is not None else None
        if alpha is None or chosen is None:
            return None
        strategy, site = chosen
        if strategy.needs_special_ids and input_ids is None:
            raise ConfigError(f"strategy '{strategy.name}' needs input_ids; embeddings do not mark special tokens")
        special = self._tensor("special_ids", self.config.special_ids, labels.device)
        known: dict[str, Any] = {"input_ids": input_ids, "mask": mask, "special_ids": special, **finders}
        batch = MixBatch(labels.shape[0], labels.device, alpha, labels, hidden_size=self._hidden_size, **known)
        plan = self._with_targets(strategy.draw(batch, site, self.generator), batch)
        return plan if self._regmix is None else with_clean_rows(plan)

    def apply(self, plan: MixPlan, hidden: Tensor, mask: Tensor | None) -> Tensor:
        """Mix a batch at the site of its plan; arguments as in `Strategy.apply`."""
        mixed = plan.strategy.apply(plan, hidden, mask)
        for observer in self.observers:
            observer.applied(plan, mixed)
        return mixed

    def _choose(self) -> tuple[Strategy, str] | None:
        """Draw a strategy, whether it mixes this batch, and its site; None when the batch is not mixed."""
        if self.config.probability == 0:
            return None
        number = 0
        if len(self._members) > 1:
            number = int(torch.multinomial(self._chances, 1, generator=self.generator))
        strategy, sites = self._members[number][0], self._sites[number]
        if not sites:
            return None
        if self.config.probability < 1 and torch.rand((), generator=self.generator) >= self.config.probability:
            return None
        if len(sites) > 1:
            return strategy, sites[int(torch.randint(len(sites), (), generator=self.generator))]
        return strategy, sites[0]

    def _alpha(self) -> float | None:
        """Return alpha at this point of training; None if nothing is mixed at this point."""
        if not self.config.progresses:
            return self.config.alpha
        if self.progress is None:
            raise ConfigError(
                "start, stop and alpha_schedule need the progress of training: set mixer.progress, from 0 to 1, before"
                " each step"
            )
        if not self.config.start <= self.progress < self.config.stop:
            return None
        return scheduled_alpha(self.config, self.progress) or None

    def _with_targets(self, plan: MixPlan, batch: MixBatch) -> MixPlan:
        """Add what `targets` says to a plan."""
        config = self.config
        if config.targets == "linear":
            return plan
        labels = batch.classes(f"targets '{config.targets}'")
        if config.targets == "trust":
            return replace(plan, soft_labels=trusted_labels(batch.probabilities, labels, config.trust))
        counts = self._tensor("class_counts", config.class_counts, labels.device)
        assert counts is not None
        weights = remix(plan.weights, plan.rows, labels, counts, config.remix_kappa, config.remix_tau)
        return replace(plan, target_weights=weights)

    def _tensor(self, name: str, values: list[int] | list[float] | None, device: torch.device) -> Tensor | None:
        """Convert a list of the configuration to a cached tensor on a device."""
        if values is None:
            return None
        if (name, device) not in self._tensors:
            self._tensors[name, device] = torch.tensor(values, device=device)
        return self._tensors[name, device]

    def scoring(self, device: torch.device) -> Scoring:
        """Return the scoring with class weights on a device."""
        weights: list[float] | str | None = self.loss.class_weights
        if isinstance(weights, str):
            counts = self.config.class_counts or []
            share = sum(counts) / max(sum(count > 0 for count in counts), 1)
            weights = [share / max(count, 1) for count in counts]
        tensor = self._tensor("class_weights", weights, device)
        return Scoring(self.loss.label_smoothing, tensor, self.loss.focal_gamma)

    def score(
        self,
        logits: Tensor,
        labels: Tensor,
        declared: str | None,
        num_items: Tensor | int | None,
        sample_weight: Tensor | None = None,
    ) -> Tensor:
        """Score the logits of the batch of the current plan, and keep the inputs of its metrics.

        Args:
            logits: Model outputs, shape (B, C) or (B, L, C); with `regmix` the outputs for the doubled batch, whose
                metrics are computed from its mixed half.
            labels: Targets before mixing and doubling, shape (B, ...).
            declared: `config.problem_type` of the model.
            num_items: `num_items_in_batch` of the stock Trainer.
            sample_weight: Weight of each row, before mixing and doubling, shape (B,); None when all weigh 1.

        Returns:
            The loss, a scalar.

        Raises:
            ConfigError: If the number of sample weights is not the number of rows.
        """
        rows, plan, clean_loss = labels.shape[0], self.plan, None
        kind = resolve_problem_type(declared, logits[:rows], labels)
        scoring, num = self.scoring(logits.device), items(num_items, labels, kind)
        clean = clean_labels(plan, labels, kind, sample_weight)
        if plan is not None and plan.mixed is not None:
            clean_loss = blended_loss(logits[:rows], clean, kind, scoring, num)
            logits, plan = logits[rows:], plan.mixed
        blend = clean if plan is None else mixed_labels(plan, labels, kind, sample_weight)
        loss = blended_loss(logits, blend, kind, scoring, num)
        self._scored = logits.detach(), blend, plan, are_classes(labels, kind)
        if clean_loss is not None:
            loss = clean_loss + (self._regmix or 0.0) * loss
        for observer in self.observers:
            observer.scored(rows, loss)
        return loss
