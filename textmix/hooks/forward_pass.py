"""Forward: the state of one training forward pass, shared by its hooks, and the changes to its batch."""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from textmix.errors import ModelError
from textmix.hooks.sites import Layout
from textmix.mixing.functional import union_mask
from textmix.mixing.mixer import Mixer
from textmix.mixing.plan import MixPlan
from textmix.mixing.site_names import EMBEDDINGS, POOLED, TOKENS


@dataclass(eq=False)
class Forward:
    """One forward pass of a model on a batch of B rows.

    Args:
        mixer: Applies the plan.
        model: Name of the model, for messages.
        problem_type: `config.problem_type` of the model.
        labels: Targets of the batch, before mixing.
        num_items: `num_items_in_batch` of the stock Trainer.
        sample_weight: Weight of each row, before mixing, shape (B,); None when all weigh 1.
        own_mask: Real positions of each row before mixing, shape (B, L), bool.
        has_siblings: Whether sibling modules of the blocks also read the hidden state at the site.
        plan: The plan; None if the batch is not mixed.
        ids: Token ids in the model's input, shape (B, L).
        given_mask: The mask in the model's input, if it changes at the site, shape (B, L).
        entered: The hidden state at the site before and after mixing, for sibling modules; only while the model runs.
        united: Masks of blocks, each with its union.
        calls: Number of calls of each shared block.
        mixed: Whether the batch has been mixed.
        running: Whether the model is running; its blocks can run again later to recompute activations.
    """

    mixer: Mixer
    model: str
    problem_type: str | None
    labels: Tensor
    num_items: Tensor | int | None
    sample_weight: Tensor | None
    own_mask: Tensor | None
    has_siblings: bool
    plan: MixPlan | None = None
    ids: Tensor | None = None
    given_mask: Tensor | None = None
    entered: tuple[Tensor, Tensor] | None = None
    united: list[tuple[Tensor, Tensor]] = field(default_factory=list)
    calls: dict[nn.Module, int] = field(default_factory=dict)
    mixed: bool = False
    running: bool = True

    def prepare(self, kwargs: dict[str, Any], plan: MixPlan) -> dict[str, Any]:
        """Double the inputs if clean rows are kept, mix token ids, and unite the masks if the site requires it."""
        if plan.clean:
            kwargs = {
                name: torch.cat([value, value]) if _has_rows(value, plan.clean) else value
                for name, value in kwargs.items()
            }
            self.own_mask = torch.cat([self.own_mask, self.own_mask]) if self.own_mask is not None else None
        self.plan = plan
        self.ids = kwargs.get("input_ids")
        mask = kwargs.get("attention_mask")
        if mask is not None:
            # DeBERTa multiplies masks; `union_mask` recognises these products only as integers.
            mask = mask.long()
            kwargs = {**kwargs, "attention_mask": mask}
        if plan.site == TOKENS:
            assert self.ids is not None  # a plan at the tokens is drawn from them
            self.mixed = True
            self.ids = self.mixer.apply(plan, self.ids, self.own_mask)
            kwargs = {**kwargs, "input_ids": self.ids}
        if mask is None or not plan.strategy.joins_masks or plan.site in (TOKENS, POOLED):
            return kwargs
        if plan.site == EMBEDDINGS:
            return {**kwargs, "attention_mask": union_mask(mask, plan.rows)}
        # Blocks before the site need the rows' own masks, pooling after it needs their union: the model gets a copy,
        # which is changed to the union at the site.
        self.given_mask = mask.clone()
        return {**kwargs, "attention_mask": self.given_mask}

    def mix(self, hidden: Tensor, mask: Tensor | None, batch: int = 0) -> Tensor:
        """Mix a batch at the site.

        Args:
            hidden: Hidden states (B, L, H), with the batch in dimension `batch`, or sentence vectors (B, H).
            mask: Real positions of each row, shape (B, L), bool; None where every position is real.
            batch: Dimension of the batch.

        Raises:
            ModelError: If the dimensions do not match the batch.
        """
        plan = self.plan
        assert plan is not None
        self.mixed = True
        given, hidden = hidden, hidden.transpose(0, batch)
        expected = mask.shape if mask is not None else plan.rows.shape[:1]
        if hidden.shape[: len(expected)] != expected:
            raise ModelError(
                f"{self.model} has hidden states of shape {tuple(given.shape)} at {plan.site} for inputs of shape"
                f" {tuple(expected)}: it is not known which dimension is the batch"
            )
        return self.mixer.apply(plan, hidden, mask).transpose(0, batch)

    def enter(self, hidden: Tensor, batch: int) -> Tensor:
        """Mix the hidden state at the site, and change the model's mask to the union."""
        plan = self.plan
        assert plan is not None
        mixed = self.mix(hidden, self.own_mask, batch)
        if self.running and self.has_siblings:
            self.entered = (hidden, mixed)
        if self.given_mask is not None and self.own_mask is not None:
            self.given_mask.copy_(union_mask(self.own_mask, plan.rows))
        return mixed

    def unite(self, mask: Tensor, layout: Layout) -> Tensor:
        """Return the united mask for a block after the site; most models pass the same mask to all blocks."""
        for before, after in self.united:
            if before is mask:
                return after
        plan = self.plan
        assert plan is not None
        if not isinstance(mask, Tensor):
            raise ModelError(
                f"{self.model} gives its blocks a {type(mask).__name__}, which cannot be united for two rows: load it"
                " with attn_implementation='sdpa', or mix at embeddings or pooled"
            )
        if mask.dim() == 2 and self.own_mask is not None:
            # It can be the given mask itself, which is already the union.
            united = union_mask(self.own_mask, plan.rows).to(mask.dtype)
        else:
            invert = torch.logical_not if mask.dtype == torch.bool else torch.neg
            united = union_mask(invert(mask) if layout.masked_is_one else mask, plan.rows, layout.mask_batch)
            united = invert(united) if layout.masked_is_one else united
        self.united.append((mask, united))
        return united

    def pool_last(self, hidden: Tensor, pad: int | None) -> tuple[Tensor, Tensor]:
        """Pool at the last real token, for decoders that pool after their classifier; mix if the site is `pooled`.

        Args:
            hidden: Input of the classifier, shape (B, L, H).
            pad: Id of the padding token, which the decoders of transformers use to find the last real token.

        Returns:
            The pooled vectors, shape (B, H), and `hidden` with these vectors at the positions that the model will pool.
        """
        plan = self.plan
        assert plan is not None
        positions = torch.arange(hidden.shape[1], device=hidden.device)
        numbers = torch.arange(hidden.shape[0], device=hidden.device)
        if self.ids is None or pad is None:  # the model then takes the last position
            own = positions[-1].expand(len(numbers))
        else:
            own = torch.where(self.ids != pad, positions, 0).amax(dim=1)
        if plan.site == POOLED:
            pooled = self.mix(hidden[numbers, own], None)
        else:
            last = own[plan.rows].amax(dim=1) if plan.strategy.joins_masks else own
            pooled = hidden[numbers, last]
        return pooled, hidden.index_put((numbers, own), pooled)

    def end(self) -> None:
        """Record that the model has run, and release tensors of its graph."""
        self.running = False
        self.entered = None


def _has_rows(value: Any, size: int) -> bool:
    return isinstance(value, Tensor) and value.dim() > 0 and value.shape[0] == size
