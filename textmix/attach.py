"""Attach a mixer to a classifier and take it off again: the one mechanism through which everything in textmix mixes."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from textmix.errors import ConfigError, ModelError
from textmix.mixing.config import MixConfig
from textmix.mixing.functional import (
    blend,
    blended_accuracy,
    blended_loss,
    draw_lam,
    draw_partner,
    fold_lam,
    plain_loss,
    resolve_problem_type,
    union_mask,
)
from textmix.mixing.plan import MixPlan
from textmix.mixing.strategies import EMBEDDINGS, POOLED, STRATEGIES, layer
from textmix.sites import Block, find_sites, forward_arguments, hidden_of

_ATTRIBUTE = "mixer"

Arguments = tuple[tuple[Any, ...], dict[str, Any]]


class Mixer:
    """Mixes the training batches of one model, through hooks, during its ordinary single forward pass.

    While the model is in training mode and is given labels, each forward draws a plan, blends the batch with a
    permutation of itself at the plan's site, and scores the logits against the blended targets. In every other forward
    nothing is touched. Make one with `attach`.

    Attributes:
        config: How it mixes.
        plan: The plan of the last forward; None if that forward was not mixed.
        metrics: Of the last training forward, as tensors on the model's device: `lam` (mean weight of a row itself)
            and, for integer labels, `accuracy` (λ-weighted).
        generator: The source of every draw; on the CPU, so that a seed means the same on every device.
    """

    def __init__(self, model: nn.Module, config: MixConfig, seed: int = 0, rank: int = 0) -> None:
        self.config = config
        self.plan: MixPlan | None = None
        self.metrics: dict[str, Tensor] = {}
        self.generator = torch.Generator().manual_seed((seed << 16) + rank)
        self._model = model
        self._parameters = forward_arguments(model)
        self._own_mask: Tensor | None = None
        self._given_mask: Tensor | None = None
        self._labels: Tensor | None = None
        self._num_items: Tensor | int | None = None
        self._running = False
        self._blended = False
        sites = find_sites(model)
        self._candidates = STRATEGIES[config.strategy].candidates(len(sites.blocks), config.layers)
        missing = [site for site in self._candidates if site not in sites.names]
        if missing:
            raise ModelError(
                f"{type(model).__name__} has no site {', '.join(missing)} for strategy '{config.strategy}';"
                f" it offers {', '.join(sites.names)}"
            )
        self._handles: list[RemovableHandle] = [
            model.register_forward_pre_hook(self._before_model, with_kwargs=True),
            model.register_forward_hook(self._after_model),
        ]
        if EMBEDDINGS in self._candidates:
            # Partials of bound methods, not closures: a deep copy of the model then has hooks of its own mixer.
            first = partial(self._before_first_block, sites.blocks[0])
            self._handles.append(sites.blocks[0].module.register_forward_pre_hook(first, with_kwargs=True))
        for number, block in enumerate(sites.blocks, start=1):
            if layer(number) in self._candidates:
                self._handles.append(block.module.register_forward_hook(partial(self._after_block, number)))
            earlier = {layer(k) for k in range(1, number)}
            if block.takes_mask and earlier.intersection(self._candidates):
                later = partial(self._before_later_block, block, earlier)
                self._handles.append(block.module.register_forward_pre_hook(later, with_kwargs=True))
        if sites.classifier is not None:
            self._handles.append(sites.classifier.register_forward_pre_hook(self._before_classifier))

    def detach(self) -> None:
        """Remove every hook and the model's reference to this mixer; the model is then what it was."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        self._model.__dict__.pop(_ATTRIBUTE, None)

    def state_dict(self) -> dict[str, Tensor]:
        """Return the generator's state: all that a resumed run needs to repeat the uninterrupted one."""
        return {"generator": self.generator.get_state()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Restore what `state_dict` returned."""
        self.generator.set_state(state["generator"].cpu())

    def draw(self, batch_size: int) -> MixPlan | None:
        """Draw the plan for a batch.

        Args:
            batch_size: Number of rows B.

        Returns:
            The plan, on the CPU; None when this batch is not to be mixed: B = 1, strategy `none`, or chance
            (`probability`).
        """
        config = self.config
        if batch_size < 2 or not self._candidates or config.probability == 0:
            return None
        if config.probability < 1 and torch.rand((), generator=self.generator) >= config.probability:
            return None
        site = self._candidates[int(torch.randint(len(self._candidates), (), generator=self.generator))]
        lam = draw_lam(
            batch_size if config.per_sample else 1,
            self.generator,
            kind=config.lam,
            alpha=config.alpha,
            value=config.lam_value,
        )
        lam = fold_lam(lam) if config.fold else lam
        return MixPlan(lam.expand(batch_size), draw_partner(batch_size, self.generator), site)

    def _before_model(self, model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Arguments | None:
        self.plan = self._labels = self._own_mask = self._given_mask = self._num_items = None
        self._running, self._blended = True, False
        if not model.training:
            return None
        kwargs = {**dict(zip(self._parameters, args, strict=False)), **kwargs}
        labels = kwargs.pop("labels", None)
        if labels is None:
            return None
        # The model must not score the batch itself: its loss knows nothing of partners, and many models write what
        # they guess from the labels into config.problem_type.
        self._labels = labels
        self._num_items = kwargs.pop("num_items_in_batch", None)
        plan = self.draw(labels.shape[0])
        self.plan = plan.to(labels.device) if plan is not None else None
        mask = kwargs.get("attention_mask")
        if self.plan is not None and mask is not None and self.plan.site != POOLED:
            kwargs["attention_mask"] = self._prepare_mask(mask, self.plan)
        return (), kwargs

    def _prepare_mask(self, mask: Tensor, plan: MixPlan) -> Tensor:
        if mask.dim() != 2:
            raise ConfigError(f"mixing needs an attention_mask of shape (B, L), not {tuple(mask.shape)}")
        self._own_mask = mask.bool()
        if plan.site == EMBEDDINGS:
            return union_mask(mask, plan.partner)
        # Blocks before the site must see the rows' own masks, pooling after it the union: the model is given a copy,
        # which becomes the union when the site has been passed.
        self._given_mask = mask.clone()
        return self._given_mask

    def _site_is(self, site: str) -> bool:
        # Outside the model's own forward a block may run again because its activations are recomputed in the backward
        # pass: that must see the same plan. A block that is called on its own must not.
        recomputing = torch._C._current_graph_task_id() != -1
        return self.plan is not None and self.plan.site == site and (self._running or recomputing)

    def _blend(self, hidden: Tensor, mask: Tensor | None) -> Tensor:
        assert self.plan is not None
        self._blended = True
        expected = mask.shape if mask is not None else self.plan.lam.shape
        if hidden.shape[: len(expected)] != expected:
            raise ModelError(
                f"{type(self._model).__name__} has hidden states of shape {tuple(hidden.shape)} at {self.plan.site} for"
                f" inputs of shape {tuple(expected)}: rows cannot be told apart there"
            )
        return blend(hidden, self.plan.lam, self.plan.partner, mask, self.config.padding)

    def _before_first_block(
        self, block: Block, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Arguments | None:
        if not self._site_is(EMBEDDINGS):
            return None
        return _replace(block, block.arguments[0], lambda hidden: self._blend(hidden, self._own_mask), args, kwargs)

    def _before_later_block(
        self, block: Block, earlier: set[str], module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Arguments | None:
        plan = self.plan
        if plan is None or plan.site not in earlier or not self._site_is(plan.site):
            return None
        return _replace(block, "attention_mask", lambda mask: union_mask(mask, plan.partner), args, kwargs)

    def _after_block(self, number: int, module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
        if not self._site_is(layer(number)):
            return None
        blended = self._blend(hidden_of(output), self._own_mask)
        if self._given_mask is not None and self.plan is not None:
            self._given_mask.copy_(union_mask(self._given_mask, self.plan.partner))
        return (blended, *output[1:]) if isinstance(output, tuple) else blended

    def _before_classifier(self, module: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
        if self._running and self.plan is not None and args[0].dim() != 2:
            raise ModelError(
                f"{type(self._model).__name__} pools behind its classifier, where partners differ in position: it"
                " cannot be mixed; use MixupForSequenceClassification with its own linear head instead"
            )
        if not self._site_is(POOLED):
            return None
        return (self._blend(args[0], None), *args[1:])

    def _after_model(self, model: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
        self._running = False
        labels = self._labels
        if labels is None:
            return None
        if self.plan is not None and not self._blended:
            raise ModelError(f"{type(model).__name__} never ran the site {self.plan.site}; choose another strategy")
        logits: Tensor = output["logits"] if isinstance(output, dict) else output[0]
        loss = self._score(logits, labels, getattr(getattr(model, "config", None), "problem_type", None))
        if isinstance(output, dict):
            fields = {name: value for name, value in output.items() if name != "loss"}
            return type(output)(loss=loss, **fields)
        return (loss, *output)

    def _score(self, logits: Tensor, labels: Tensor, declared: str | None) -> Tensor:
        kind = resolve_problem_type(declared, logits, labels)
        if self.plan is None:
            lam = torch.ones(labels.shape[0], device=logits.device)
            partner = torch.arange(labels.shape[0], device=logits.device)
            loss = plain_loss(logits, labels, kind, self._num_items)
            assert loss is not None  # there are labels
        else:
            lam, partner = self.plan.lam, self.plan.partner
            loss = blended_loss(logits, labels, lam, partner, kind, self._num_items)
        self.metrics = {"lam": lam.mean()}
        if kind == "single_label_classification" and labels.dim() == 1:
            self.metrics["accuracy"] = blended_accuracy(logits, labels, lam, partner)
        return loss


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


def attach(model: nn.Module, config: MixConfig, seed: int = 0, rank: int | None = None) -> Mixer:
    """Attach a mixer to a classifier.

    Args:
        model: A Hugging Face sequence classifier or a textmix model; its forward takes `labels`.
        config: How to mix.
        seed: Seed of the mixer's own generator.
        rank: Number of this process; None asks torch.distributed, so that each process draws differently.

    Returns:
        The mixer, which is also `model.mixer` until it is detached.

    Raises:
        ModelError: If the model has a mixer already or lacks a site that the strategy needs.
    """
    if _ATTRIBUTE in model.__dict__:
        raise ModelError(f"{type(model).__name__} has a mixer attached already; call model.mixer.detach() first")
    if rank is None:
        distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
        rank = torch.distributed.get_rank() if distributed else 0
    mixer = Mixer(model, config, seed=seed, rank=rank)
    # Into __dict__ directly: a mixer is neither a parameter nor a submodule, and never part of the state dict.
    model.__dict__[_ATTRIBUTE] = mixer
    return mixer


@contextmanager
def mixing(model: nn.Module, config: MixConfig | None = None, *, seed: int = 0, **options: Any) -> Iterator[Mixer]:
    """Mix within a `with` block and leave the model as it was, also after an exception.

    Args:
        model: As in `attach`.
        config: How to mix; or give the fields of `MixConfig` as keywords.
        seed: As in `attach`.
        **options: Fields of `MixConfig`, when `config` is None.

    Yields:
        The mixer.
    """
    mixer = attach(model, config or MixConfig(**options), seed=seed)
    try:
        yield mixer
    finally:
        mixer.detach()
