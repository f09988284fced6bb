"""Forward: the state of one training forward pass, shared by its hooks, and the changes to its batch."""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from textmix.errors import ModelError
from textmix.hooks.blocks import Mask
from textmix.hooks.sites import Decoder, Sites
from textmix.mixing.functional import union_alibi, union_attention, union_mask
from textmix.mixing.mixer import Mixer
from textmix.mixing.plan import MixPlan
from textmix.mixing.site_names import EMBEDDINGS, POOLED, TOKENS, block_after, layer


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
        windows: Number of windows of each row, shape (B,), when a row is several inputs, whose sentence vectors are
            averaged; None when it is one.
        own_mask: Real positions of each row before mixing, shape (B, L), bool.
        sites: The sites of the model.
        plan: The plan; None if the batch is not mixed.
        mixed_logits: Logits of mixed sentence vectors beside which the clean ones are kept, shape (B, ...).
        ids: Token ids in the model's input, shape (B, L).
        decoder_mask: Positions of each row that a decoder reads, before mixing, shape (B, L), bool.
        given_mask: The mask in the model's input, if it changes at the site, shape (B, L).
        given_is_united: Whether it has changed.
        entered: The hidden state at the site before and after mixing, for sibling modules; only while the model runs.
        united: Masks of blocks, each with its union.
        calls: Number of calls of each shared block.
        decoded: Last hidden state of a decoder, shape (B, L, H); only while the model runs.
        added: Number of padding positions that the model appends to its rows (Longformer).
        beside: Whether the model runs on the clean rows, and its classifier a second time on the mixed ones.
        unmixed: Number of hidden states that are still to be mixed: at the site, and those of a decoder behind it.
        running: Whether the model is running; its blocks can run again later to recompute activations.
    """

    mixer: Mixer
    model: str
    problem_type: str | None
    labels: Tensor
    num_items: Tensor | int | None
    sample_weight: Tensor | None
    windows: Tensor | None
    own_mask: Tensor | None
    sites: Sites
    plan: MixPlan | None = None
    mixed_logits: Tensor | None = None
    ids: Tensor | None = None
    decoder_mask: Tensor | None = None
    given_mask: Tensor | None = None
    given_is_united: bool = False
    entered: tuple[Tensor, Tensor] | None = None
    united: list[tuple[Tensor, Tensor]] = field(default_factory=list)
    calls: dict[nn.Module, int] = field(default_factory=dict)
    decoded: Tensor | None = None
    added: int = 0
    beside: bool = False
    unmixed: int = 1
    running: bool = True

    def prepare(self, kwargs: dict[str, Any], plan: MixPlan) -> dict[str, Any]:
        """Double the inputs if clean rows are kept, mix token ids, and unite the masks if the site requires it.

        For sentence vectors nothing is doubled: the classifier alone runs on the mixed ones, beside the clean ones.
        """
        if plan.mixed is not None and plan.site == POOLED:
            self.beside = True
            plan = plan.mixed
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
            self.unmixed = 0
            self.ids = self.mixer.apply(plan, self.ids, self.own_mask)
            kwargs = {**kwargs, "input_ids": self.ids}
        if plan.site in (TOKENS, POOLED):
            return kwargs
        if self.sites.decoder is not None:
            kwargs = self._prepare_decoder(kwargs, plan, self.sites.decoder)
        if mask is None or not plan.strategy.joins_masks:
            return kwargs
        if plan.site == EMBEDDINGS:
            return {**kwargs, "attention_mask": union_mask(mask, plan.rows)}
        # Blocks before the site need the rows' own masks, pooling after it needs their union: the model gets a copy,
        # which is changed to the union at the site.
        self.given_mask = mask.clone()
        return {**kwargs, "attention_mask": self.given_mask}

    def _prepare_decoder(self, kwargs: dict[str, Any], plan: MixPlan, decoder: Decoder) -> dict[str, Any]:
        """Find the positions that the decoder reads; if the site is in front of it, its own mask becomes the union."""
        if plan.span is not None:
            raise ModelError(
                f"{self.model} reads the tokens twice, in its decoder one position later: spans can be cut at {TOKENS}"
                " only (cutmix.level: tokens)"
            )
        mask = kwargs.get("decoder_attention_mask")
        if mask is not None:
            self.decoder_mask = mask.bool()
        elif self.own_mask is not None:
            # Without a mask of its own it reads every position up to the last real one, also padding on the left.
            self.decoder_mask = self.own_mask.flip(1).cumsum(dim=1).flip(1) > 0
        if self.in_decoder:
            return kwargs
        self.unmixed = 2
        if mask is None or not plan.strategy.joins_masks:
            return kwargs
        return {**kwargs, "decoder_attention_mask": union_mask(mask.long(), plan.rows)}

    @property
    def in_decoder(self) -> bool:
        """Whether the site is behind a block of a decoder, so that the decoder reads the rows unmixed."""
        plan, decoder = self.plan, self.sites.decoder
        number = None if plan is None else block_after(plan.site)
        return number is not None and decoder is not None and number > decoder.first

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
        self.unmixed -= 1
        self._check_shape(hidden, mask, batch)
        return self.mixer.apply(plan, hidden.transpose(0, batch), mask).transpose(0, batch)

    def _check_shape(self, hidden: Tensor, mask: Tensor | None, batch: int) -> None:
        plan = self.plan
        assert plan is not None
        expected = mask.shape if mask is not None else plan.rows.shape[:1]
        if hidden.transpose(0, batch).shape[: len(expected)] != expected:
            raise ModelError(
                f"{self.model} has hidden states of shape {tuple(hidden.shape)} at {plan.site} for inputs of shape"
                f" {tuple(expected)}, as if it packed, shortened or lengthened its rows: it cannot be mixed there"
            )

    def enter(self, hidden: Tensor, batch: int = 0) -> Tensor:
        """Mix the hidden state at the site, and change the model's mask to the union."""
        plan = self.plan
        assert plan is not None
        mask = self.decoder_mask if self.in_decoder else self.own_mask
        if self.added and mask is not None and not self.in_decoder:
            mask = nn.functional.pad(mask, (0, self.added))
        mixed = self.mix(hidden, mask, batch)
        if self.running and self.sites.siblings:
            self.entered = (hidden, mixed)
        if self.given_mask is not None and self.own_mask is not None and not self.given_is_united:
            self.given_mask.copy_(union_mask(self.own_mask, plan.rows))
            self.given_is_united = True
        return mixed

    def follow(self, hidden: Tensor, mask: Tensor | None) -> Tensor:
        """Mix another hidden state (B, L, H) that is read behind the site: the decoder's first, or the encoder's last.

        The observers of the mixer are not called: the batch is mixed once.
        """
        plan = self.plan
        assert plan is not None
        self._check_shape(hidden, mask, 0)
        return plan.strategy.apply(plan, hidden, mask)

    def mixed_again(self, value: Any) -> Any:
        """Return an argument of a sibling module as mixed if it is the hidden state at the site, else unchanged."""
        if self.entered is None or value is not self.entered[0]:
            return value
        after = self.entered[1]
        # Older versions of transformers call hooks inside of a checkpoint; a reentrant one has no gradient.
        return after if after.requires_grad or not value.requires_grad else self.follow(value, self.own_mask)

    def start_decoder(self, hidden: Tensor) -> Tensor:
        """Mix the hidden state in front of a decoder's first block, where the site is in front of it, too."""
        self.unmixed -= 1
        return self.follow(hidden, self.decoder_mask)

    def own_copy(self, mask: Tensor) -> Tensor:
        """Return the mask for a module in front of the site: autograd may need it after the given one has changed."""
        if self.own_mask is None or not self._is_given(mask):
            return mask
        return self.own_mask.to(mask.dtype)

    def unite(self, mask: Tensor, kind: Mask) -> Tensor:
        """Return the united mask for a block after the site; most models pass the same mask to all blocks."""
        if kind.is_bias:  # has a gradient, which a recomputed block must compute again
            return self._unite_bias(mask, kind)
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
        if self._is_given(mask) and not (self.in_decoder and kind.name == "attention_mask"):
            # It can be the given mask itself, which is already the union.
            assert self.own_mask is not None
            united = union_mask(self.own_mask, plan.rows).to(mask.dtype)
        elif (real := self._real_positions(mask, kind)) is not None:
            united = union_attention(mask, plan.rows, real)
        else:
            invert = torch.logical_not if mask.dtype == torch.bool else torch.neg
            united = union_mask(invert(mask) if kind.masked_is_one else mask, plan.rows, kind.batch)
            united = invert(united) if kind.masked_is_one else united
        self.united.append((mask, united))
        return united

    def _real_positions(self, mask: Tensor, kind: Mask) -> Tensor | None:
        """Return the real positions of each row (B, L), if a mask is (B, 1, L, L) and a larger value attends more."""
        real = self.decoder_mask if self.in_decoder and kind.name == "attention_mask" else self.own_mask
        if real is None or kind.masked_is_one or not (mask.dtype == torch.bool or mask.is_floating_point()):
            return None
        length = real.shape[1]
        return real if mask.shape == (len(real), 1, length, length) else None

    def _unite_bias(self, bias: Tensor, kind: Mask) -> Tensor:
        """Mask a bias (B, N, L, L) anew; blocks pass it on, so that it can be united already."""
        mask = self.decoder_mask if self.in_decoder and kind.name == "position_bias" else self.own_mask
        if bias.shape[0] == 1 or mask is None:
            return bias
        assert self.plan is not None
        bare = bias.amax(dim=0, keepdim=True).expand_as(bias)  # unmasked where any row is real
        return bare.masked_fill(~union_mask(mask, self.plan.rows)[:, None, None], torch.finfo(bias.dtype).min)

    def unite_alibi(self, alibi: Tensor) -> Tensor:
        """Return the position biases of the united rows, for a block behind the site."""
        plan = self.plan
        assert plan is not None
        return alibi if self.own_mask is None else union_alibi(alibi, self.own_mask, plan.rows)

    def _is_given(self, mask: Tensor) -> bool:
        """Test whether a mask can be the given one or a view of it."""
        given = self.given_mask
        return given is not None and mask.dtype == given.dtype and mask.shape == given.shape

    @property
    def ends_decoder(self) -> bool:
        """Whether the site is the output of a decoder's last block."""
        return self.in_decoder and self.plan is not None and self.plan.site == layer(len(self.sites.blocks))

    def end(self) -> None:
        """Record that the model has run, and release tensors of its graph."""
        self.running = False
        self.entered = self.decoded = None


def _has_rows(value: Any, size: int) -> bool:
    return isinstance(value, Tensor) and value.dim() > 0 and value.shape[0] == size
