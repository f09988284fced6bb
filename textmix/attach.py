"""Attach a mixer to a classifier and take it off again: the one mechanism through which everything in textmix mixes."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from textmix.errors import ConfigError, ModelError
from textmix.mixer import Mixer
from textmix.mixing.config import LossConfig, MixConfig, mix_config
from textmix.mixing.functional import union_mask
from textmix.mixing.losses import plain_loss
from textmix.mixing.plan import MixPlan
from textmix.mixing.strategies.base import EMBEDDINGS, POOLED, TOKENS, layer
from textmix.sites import Block, find_sites, forward_arguments, hidden_of

_ATTRIBUTE = "mixer"

Arguments = tuple[tuple[Any, ...], dict[str, Any]]


class AttachedMixer(Mixer):
    """A mixer that acts on one model, through hooks, during its ordinary single forward pass.

    While the model is in training mode and is given labels, each forward draws a plan, mixes the batch at the plan's
    site, and scores the logits against the blended targets. In every other forward nothing is touched. Make one with
    `attach`.

    Args:
        model: The classifier.
        config: How to mix.
        loss: How to score.
        seed: Seed of the mixer's own generator.
        rank: Number of this process.
        strict: Refuse training batches without labels, which would train nothing or unmixed.
    """

    def __init__(
        self,
        model: nn.Module,
        config: MixConfig,
        loss: LossConfig,
        seed: int = 0,
        rank: int = 0,
        strict: bool = False,
    ) -> None:
        sites = find_sites(model)
        super().__init__(config, loss, len(sites.blocks), _hidden_size(model), seed, rank)
        missing = [site for site in self.sites if site not in sites.names]
        if missing:
            raise ModelError(
                f"{type(model).__name__} has no site {', '.join(missing)} for strategy '{config.strategy}';"
                f" it offers {', '.join(sites.names)}"
            )
        self._model = model
        self._found = sites
        self._strict = strict
        self._parameters = forward_arguments(model)
        self._forget()
        self._paused = False
        self._handles: list[RemovableHandle] = []

    def attach(self) -> None:
        """Put the hooks on the model and make this its `mixer`; also once more after `detach`.

        Raises:
            ModelError: If the model has a mixer already.
        """
        model, sites = self._model, self._found
        if _ATTRIBUTE in model.__dict__:
            raise ModelError(f"{type(model).__name__} has a mixer attached already; call model.mixer.detach() first")
        # Into __dict__ directly: a mixer is neither a parameter nor a submodule, and never part of the state dict.
        model.__dict__[_ATTRIBUTE] = self
        self._handles += [
            model.register_forward_pre_hook(self._before_model, with_kwargs=True),
            model.register_forward_hook(self._after_model),
        ]
        if sites.embeddings is not None and EMBEDDINGS in self.sites:
            self._handles.append(sites.embeddings.register_forward_hook(self._after_embeddings))
        self._hook_blocks(sites.blocks)
        if sites.classifier is not None:
            self._handles.append(sites.classifier.register_forward_pre_hook(self._before_classifier))

    def detach(self) -> None:
        """Remove every hook and the model's reference to this mixer; the model is then what it was."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        if self._model.__dict__.get(_ATTRIBUTE) is self:
            del self._model.__dict__[_ATTRIBUTE]

    def _hook_blocks(self, blocks: tuple[Block, ...]) -> None:
        hidden = [number for number in range(len(blocks) + 1) if _site(number) in self.sites]
        if not hidden:
            return
        numbers: dict[nn.Module, list[int]] = {}
        for number, block in enumerate(blocks):
            numbers.setdefault(block.module, []).append(number)
        for module, calls in numbers.items():
            # Partials of bound methods, not closures: a deep copy of the model then has hooks of its own mixer.
            before = partial(self._before_block, blocks[calls[0]], calls)
            self._handles.append(module.register_forward_pre_hook(before, with_kwargs=True))
        if len(blocks) in hidden:
            last = blocks[-1]
            after = partial(self._after_last_block, last, numbers[last.module])
            self._handles.append(last.module.register_forward_hook(after))

    def _forget(self) -> None:
        self.plan = None
        self._labels: Tensor | None = None
        self._num_items: Tensor | int | None = None
        self._own_mask: Tensor | None = None
        self._given_mask: Tensor | None = None
        self._ids: Tensor | None = None
        self._united: tuple[Tensor, Tensor] | None = None
        self._calls: dict[nn.Module, int] = {}
        self._mixed = False
        self._running = False

    def _before_model(self, model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Arguments | None:
        if self._paused:
            return None
        self._forget()
        self._running = True
        if not model.training:
            return None
        kwargs = {**dict(zip(self._parameters, args, strict=False)), **kwargs}
        labels = kwargs.pop("labels", None)
        if labels is None:
            if self._strict:
                raise ConfigError(
                    "a training batch has no labels, so that it cannot be mixed: they may be missing from the data or"
                    " from label_names, or compute_loss_func may have taken them"
                )
            return None
        # The model must not score the batch itself: its loss knows nothing of partners, and many models write what
        # they guess from the labels into config.problem_type.
        self._labels = labels
        self._num_items = kwargs.pop("num_items_in_batch", None)
        mask = kwargs.get("attention_mask")
        if mask is not None and mask.dim() != 2:
            raise ConfigError(f"mixing needs an attention_mask of shape (B, L), not {tuple(mask.shape)}")
        self.plan = self.draw(
            labels,
            kwargs.get("input_ids"),
            mask.bool() if mask is not None else None,
            find_means=partial(self._mean_embeddings, kwargs),
            find_saliency=partial(self._saliency, kwargs, labels),
        )
        if self.plan is not None:
            kwargs = self._prepare(kwargs, self.plan)
        return (), kwargs

    def _prepare(self, kwargs: dict[str, Any], plan: MixPlan) -> dict[str, Any]:
        """Double the inputs if clean rows are kept, mix token ids, and unite the masks as far as the site asks."""
        if plan.clean:
            kwargs = {
                name: torch.cat([value, value]) if _has_rows(value, plan.clean) else value
                for name, value in kwargs.items()
            }
        self._ids = kwargs.get("input_ids")
        mask = kwargs.get("attention_mask")
        self._own_mask = mask.bool() if mask is not None else None
        if plan.site == TOKENS:
            assert self._ids is not None  # a plan at the tokens is drawn from them
            self._mixed = True
            self._ids = plan.strategy.apply(plan, self._ids, self._own_mask)
            kwargs = {**kwargs, "input_ids": self._ids}
        if mask is None or not plan.strategy.joins_masks or plan.site in (TOKENS, POOLED):
            return kwargs
        if plan.site == EMBEDDINGS:
            return {**kwargs, "attention_mask": union_mask(mask, plan.rows)}
        # Blocks before the site must see the rows' own masks, pooling after it the union: the model is given a copy,
        # which becomes the union when the site has been passed.
        self._given_mask = mask.clone()
        return {**kwargs, "attention_mask": self._given_mask}

    def _active(self) -> MixPlan | None:
        # Outside the model's own forward a block may run again because its activations are recomputed in the backward
        # pass: that must see the same plan. A block that is called on its own must not.
        recomputing = torch._C._current_graph_task_id() != -1
        return self.plan if self.plan is not None and not self._paused and (self._running or recomputing) else None

    def _apply(self, hidden: Tensor, mask: Tensor | None, plan: MixPlan, batch: int = 0) -> Tensor:
        self._mixed = True
        hidden = hidden.transpose(0, batch)
        expected = mask.shape if mask is not None else plan.rows.shape[:1]
        if hidden.shape[: len(expected)] != expected:
            raise ModelError(
                f"{type(self._model).__name__} has hidden states of shape {tuple(hidden.shape)} at {plan.site} for"
                f" inputs of shape {tuple(expected)}: rows cannot be told apart there"
            )
        return plan.strategy.apply(plan, hidden, mask).transpose(0, batch)

    def _after_embeddings(self, module: nn.Module, args: tuple[Any, ...], output: Tensor) -> Tensor | None:
        plan = self._active()
        return self._apply(output, self._own_mask, plan) if plan is not None and plan.site == EMBEDDINGS else None

    def _before_block(
        self, block: Block, calls: list[int], module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Arguments | None:
        plan = self._active()
        if plan is None:
            return None
        number = self._number(module, calls)
        site = _number_of(plan.site)
        if site is None or number < site:
            return None
        layout = block.layout
        if number == site:
            mix = partial(self._apply, mask=self._own_mask, plan=plan, batch=layout.batch)
            args, kwargs = _replace(block, block.arguments[0], mix, args, kwargs)
            self._pass_site(plan)
        if site > 0 and plan.strategy.joins_masks and layout.mask in block.arguments:
            unite = partial(self._unite, plan=plan, block=block)
            args, kwargs = _replace(block, layout.mask, unite, args, kwargs)
        return args, kwargs

    def _number(self, module: nn.Module, calls: list[int]) -> int:
        """Say which of the model's blocks is about to run: a shared one runs several times."""
        if len(calls) == 1:
            return calls[0]
        if not self._running:
            raise ModelError(
                f"{type(self._model).__name__} shares blocks, whose recomputed activations cannot be told apart; turn"
                " off your own checkpointing (gradient_checkpointing_enable works)"
            )
        number = self._calls.get(module, 0)
        self._calls[module] = number + 1
        return calls[number]

    def _pass_site(self, plan: MixPlan) -> None:
        if self._given_mask is not None and self._own_mask is not None:
            self._given_mask.copy_(union_mask(self._own_mask, plan.rows))

    def _unite(self, mask: Tensor, plan: MixPlan, block: Block) -> Tensor:
        # Most models give all blocks the same mask: unite it once.
        if self._united is None or self._united[0] is not mask:
            layout = block.layout
            united = union_mask(-mask if layout.masked_is_one else mask, plan.rows, layout.mask_batch)
            self._united = mask, -united if layout.masked_is_one else united
        return self._united[1]

    def _after_last_block(
        self, block: Block, calls: list[int], module: nn.Module, args: tuple[Any, ...], output: Any
    ) -> Any:
        plan = self._active()
        count = calls[-1] + 1
        if plan is None or plan.site != layer(count) or (len(calls) > 1 and self._calls[module] < len(calls)):
            return None
        mixed = self._apply(hidden_of(output), self._own_mask, plan, block.layout.batch)
        self._pass_site(plan)
        return (mixed, *output[1:]) if isinstance(output, tuple) else mixed

    def _before_classifier(self, module: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
        plan = self._active()
        if plan is None:
            return None
        hidden = args[0]
        if hidden.dim() == 3 and not self._is_token_level(hidden):
            if plan.site == TOKENS:
                return None
            return (self._pool_last(hidden, plan), *args[1:])
        if plan.site != POOLED:
            return None
        return (self._apply(hidden, self._own_mask if hidden.dim() == 3 else None, plan), *args[1:])

    def _is_token_level(self, hidden: Tensor) -> bool:
        labels = self._labels
        return labels is not None and not labels.is_floating_point() and labels.shape[1:] == hidden.shape[1:2]

    def _pool_last(self, hidden: Tensor, plan: MixPlan) -> Tensor:
        """Pool at the last real token before the classifier of a model that would do so behind it, then mix.

        The result stands at every position: whichever the model then picks is the right one.
        """
        real = self._own_mask
        pad = getattr(getattr(self._model, "config", None), "pad_token_id", None)
        if self._ids is not None and pad is not None:  # as the decoders of transformers find it
            real = self._ids != pad
        positions = torch.arange(hidden.shape[1], device=hidden.device)
        last = positions[-1] if real is None else torch.where(real, positions, 0).amax(dim=1)
        last = last.expand(hidden.shape[0])
        numbers = torch.arange(hidden.shape[0], device=hidden.device)
        if plan.site == POOLED:
            pooled = self._apply(hidden[numbers, last], None, plan)
        else:
            last = last[plan.rows].amax(dim=1) if plan.strategy.joins_masks else last
            pooled = hidden[numbers, last]
        return pooled.unsqueeze(1).expand_as(hidden)

    def _after_model(self, model: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
        if self._paused:
            return None
        self._running = False
        labels, plan = self._labels, self.plan
        if labels is None:
            return None
        if plan is not None and not self._mixed:
            raise ModelError(f"{type(model).__name__} never ran the site {plan.site}; choose another strategy")
        logits: Tensor = output["logits"] if isinstance(output, dict) else output[0]
        declared = getattr(getattr(model, "config", None), "problem_type", None)
        loss = self.score(logits, labels, declared, self._num_items)
        if plan is not None and plan.clean:
            logits = logits[: plan.clean]
        if isinstance(output, dict):
            fields = {name: value for name, value in output.items() if name not in ("loss", "logits")}
            return type(output)(loss=loss, logits=logits, **fields)
        return (loss, logits, *output[1:])

    def _mean_embeddings(self, kwargs: dict[str, Any]) -> Tensor:
        embeddings = kwargs.get("inputs_embeds")
        with torch.no_grad():
            if embeddings is None:
                embeddings = self._model.get_input_embeddings()(kwargs["input_ids"])
            mask = kwargs.get("attention_mask")
            if mask is None:
                return embeddings.mean(dim=1)
            weights = mask.to(embeddings.dtype).unsqueeze(-1)
            return (weights * embeddings).sum(dim=1) / weights.sum(dim=1).clamp(min=1)

    def _saliency(self, kwargs: dict[str, Any], labels: Tensor) -> Tensor:
        """Norm of the loss's gradient at each token's embedding, by a forward and backward pass of its own.

        Gradients that were accumulated in parameters are not touched.
        """
        leaves: list[Tensor] = []

        def cut_off(module: nn.Module, args: tuple[Any, ...], output: Tensor) -> Tensor:
            leaves.append(output.detach().requires_grad_())
            return leaves[-1]

        handle = self._model.get_input_embeddings().register_forward_hook(cut_off)
        self._paused = True
        try:
            with torch.enable_grad():
                output = self._model(**kwargs)
                logits = output["logits"] if isinstance(output, dict) else output[0]
                declared = getattr(getattr(self._model, "config", None), "problem_type", None)
                loss = plain_loss(logits, labels, declared, scoring=self.scoring(logits.device))
                assert loss is not None
                (gradient,) = torch.autograd.grad(loss, leaves[:1])
        finally:
            self._paused = False
            handle.remove()
        norms: Tensor = gradient.float().norm(dim=-1)
        return norms


def _site(number: int) -> str:
    """Name the site at the input of block `number`, counted from 0."""
    return layer(number) if number else EMBEDDINGS


def _number_of(site: str) -> int | None:
    """Number of the block, counted from 0, at whose input a site lies; None for sites outside the blocks."""
    if site == EMBEDDINGS:
        return 0
    return int(site.removeprefix("layer:")) if site.startswith("layer:") else None


def _hidden_size(model: nn.Module) -> int | None:
    config = getattr(model, "config", None)
    text = config.get_text_config() if hasattr(config, "get_text_config") else config
    encoder = getattr(config, "encoder", None)
    size = getattr(text, "hidden_size", None) or getattr(encoder, "hidden_size", None)
    return size if isinstance(size, int) else None


def _has_rows(value: Any, size: int) -> bool:
    return isinstance(value, Tensor) and value.dim() > 0 and value.shape[0] == size


def _replace(
    block: Block, name: str, function: Callable[[Tensor], Tensor], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Arguments:
    """Apply a function to one argument of a block, wherever the caller put it; an absent or None one stays so."""
    index = block.arguments.index(name)
    if kwargs.get(name) is not None:
        return args, {**kwargs, name: function(kwargs[name])}
    if index < len(args) and args[index] is not None:
        return (*args[:index], function(args[index]), *args[index + 1 :]), kwargs
    return args, kwargs


def attach(
    model: nn.Module,
    config: MixConfig,
    seed: int = 0,
    rank: int | None = None,
    loss: LossConfig | None = None,
    strict: bool = False,
) -> AttachedMixer:
    """Attach a mixer to a classifier.

    Args:
        model: A Hugging Face classifier or a textmix model; its forward takes `labels`.
        config: How to mix.
        seed: Seed of the mixer's own generator.
        rank: Number of this process; None asks torch.distributed, so that each process draws differently.
        loss: How to score; None means the plain loss of the labels' kind.
        strict: Refuse training batches without labels.

    Returns:
        The mixer, which is also `model.mixer` until it is detached.

    Raises:
        ModelError: If the model has a mixer already or lacks a site that the strategy needs.
        ConfigError: If the strategy or the loss needs something that the configuration leaves open.
    """
    if rank is None:
        distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
        rank = torch.distributed.get_rank() if distributed else 0
    mixer = AttachedMixer(model, config, loss or LossConfig(), seed, rank, strict)
    mixer.attach()
    return mixer


@contextmanager
def mixing(
    model: nn.Module,
    config: MixConfig | None = None,
    *,
    seed: int = 0,
    loss: LossConfig | None = None,
    **options: Any,
) -> Iterator[AttachedMixer]:
    """Mix within a `with` block and leave the model as it was, also after an exception.

    Args:
        model: As in `attach`.
        config: How to mix; or give the fields of `MixConfig` as keywords.
        seed: As in `attach`.
        loss: As in `attach`.
        **options: Fields of `MixConfig`, when `config` is None.

    Yields:
        The mixer.
    """
    mixer = attach(model, mix_config(config, options), seed=seed, loss=loss)
    try:
        yield mixer
    finally:
        mixer.detach()
