"""AttachedMixer: a mixer that acts on one model through hooks."""

from functools import partial
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from textmix.errors import ConfigError, ModelError
from textmix.hooks.forward_pass import Forward
from textmix.hooks.saliency import mean_embeddings, token_saliency
from textmix.hooks.site_hooks import SiteHooks
from textmix.hooks.sites import Arguments, Sites, check_sites, find_sites, forward_arguments, hidden_size, problem_type
from textmix.io.compat import in_backward
from textmix.mixing.config import MixConfig
from textmix.mixing.loss_config import LossConfig
from textmix.mixing.losses import plain_loss
from textmix.mixing.mixer import Mixer

_ATTRIBUTE = "mixer"


class AttachedMixer(Mixer):
    """A mixer that acts on one model, through hooks, during its ordinary single forward pass.

    While the model is in training mode and is given labels, each forward pass draws a plan, mixes the batch at the
    plan's site, and scores the logits against the blended targets. In every other forward pass nothing is changed.
    Beside the labels a batch may have `sample_weight`, shape (B,): the weight of each row.

    Make one with `attach`. It is a context manager: at the end of a `with` block it detaches.

    Args:
        model: The classifier; nothing is changed before `attach` is called.
        config: How to mix.
        loss: How to score.
        seed: Seed of the mixer's own generator.
        rank: Rank of this process.
        strict: Refuse training batches without labels, which would be trained on unmixed or not at all.

    Raises:
        ModelError: If the model lacks a site that the strategy needs.
        ConfigError: If class counts or class weights are not as many as the model has classes, or the strategy or the
            loss needs something that the configuration leaves open.
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
        # A strategy for hidden layers must not silently shrink to the embeddings where no blocks were found.
        super().__init__(config, loss, max(len(sites.blocks), 1), hidden_size(model), seed, rank)
        self._check_model(model, sites)
        self._model = model
        self._hooks = SiteHooks(model, sites, self._active)
        self._batch_dim = sites.blocks[0].layout.batch if sites.blocks else 0
        self._has_siblings = bool(sites.siblings)
        self._strict = strict
        self._parameters = forward_arguments(model)
        self._forward: Forward | None = None
        self._paused = False
        self._handles: list[RemovableHandle] = []

    def _check_model(self, model: nn.Module, sites: Sites) -> None:
        check_sites(type(model).__name__, sites, self.sites, self.config.strategy)
        classes = getattr(getattr(model, "config", None), "id2label", {})  # a model without a config has any number
        given = {"mix.class_counts": self.config.class_counts, "loss.class_weights": self.loss.class_weights}
        wrong = [
            f"{option} has {len(values)} numbers for the {len(classes)} classes {', '.join(classes.values())}"
            for option, values in given.items()
            if isinstance(values, list) and classes and len(values) != len(classes)
        ]
        if wrong:
            raise ConfigError("; ".join(wrong))

    def attach(self) -> None:
        """Register the hooks and make this the `mixer` of the model; may be called again after `detach`.

        Raises:
            ModelError: If the model has a mixer already.
        """
        model = self._model
        if _ATTRIBUTE in model.__dict__:
            raise ModelError(f"{type(model).__name__} has a mixer attached already; call model.mixer.detach() first")
        # Directly in __dict__: a mixer is neither a parameter nor a submodule, and never part of the state dict.
        model.__dict__[_ATTRIBUTE] = self
        self._handles += [
            model.register_forward_pre_hook(self._before_model, with_kwargs=True),
            model.register_forward_hook(self._after_model),
            *self._hooks.register(self.sites),
        ]

    def detach(self) -> None:
        """Remove every hook and the model's reference to this mixer; the model is then what it was."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        if self._model.__dict__.get(_ATTRIBUTE) is self:
            del self._model.__dict__[_ATTRIBUTE]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.detach()

    # Drawing and scoring stay outside of compiled graphs, where each draw would break the graph in two.
    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def _before_model(self, model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Arguments | None:
        if self._paused:
            return None
        self._forward = self.plan = None
        if not model.training:
            return None
        kwargs = {**dict(zip(self._parameters, args, strict=False)), **kwargs}
        # The model must not score the batch itself: its loss does not know the partners, and many models write the
        # problem type that they guess from the labels into their configuration.
        labels = kwargs.pop("labels", None)
        if labels is None:
            if self._strict:
                raise ConfigError(
                    "a training batch has no labels, so that it cannot be mixed: they are missing from the data or from"
                    " label_names, or the Trainer's label_smoothing_factor, compute_loss_func or an overridden"
                    " compute_loss takes them; give label smoothing and class weights as loss=LossConfig(...)"
                )
            return None
        mask = _real_positions(kwargs)
        num_items, sample_weight = kwargs.pop("num_items_in_batch", None), kwargs.pop("sample_weight", None)
        forward = self._forward = Forward(
            self, type(model).__name__, problem_type(model), labels, num_items, sample_weight, mask, self._has_siblings
        )
        if mask is None or mask.shape[1]:  # else every text is empty, and there is nothing to mix
            finders = {
                "find_means": partial(mean_embeddings, model, kwargs),
                "find_saliency": partial(self._saliency, kwargs, labels),
            }
            self.plan = self.draw(labels, kwargs.get("input_ids"), mask, **finders)
        return (), kwargs if self.plan is None else forward.prepare(kwargs, self.plan)

    def _active(self) -> Forward | None:
        """Return the forward pass that a hook belongs to, when its batch is mixed."""
        forward = self._forward
        if forward is None or forward.plan is None or self._paused:
            return None
        # Outside of the model's own forward pass a block may run again because its activations are recomputed in the
        # backward pass: that must see the same plan. A block that is called by itself must not.
        return forward if forward.running or in_backward() else None

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def _after_model(self, model: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
        forward, plan = self._forward, self.plan
        if self._paused or forward is None:
            return None
        forward.end()
        if plan is not None and not forward.mixed:
            raise ModelError(
                f"{forward.model} never ran the site {plan.site}, perhaps because it calls its modules past their"
                " hooks: choose another strategy; if it was compiled, and had run, before the mixer was attached, call"
                " torch.compiler.reset()"
            )
        logits = _logits(output)
        self._hooks.check_pooling(forward, logits)
        if logits.requires_grad:
            logits.register_hook(partial(self._recompute, forward))  # type: ignore[no-untyped-call]
        loss = self.score(logits, forward.labels, forward.problem_type, forward.num_items, forward.sample_weight)
        if plan is not None and plan.clean:
            logits = logits[: plan.clean]
        if isinstance(output, dict):
            fields = {name: value for name, value in output.items() if name not in ("loss", "logits")}
            return type(output)(loss=loss, logits=logits, **fields)
        return (loss, logits, *output[1:])

    def _recompute(self, forward: Forward, grad: Tensor) -> None:
        """Return to a forward pass whose backward pass begins: others may have run since."""
        self._forward = forward

    def _saliency(self, kwargs: dict[str, Any], labels: Tensor) -> Tensor:
        def find_loss(output: Any) -> Tensor:
            logits = _logits(output)
            loss = plain_loss(logits, labels, problem_type(self._model), scoring=self.scoring(logits.device))
            assert loss is not None
            return loss

        self._paused = True
        try:
            return token_saliency(self._model, kwargs, find_loss, self._batch_dim)
        finally:
            self._paused = False


def _real_positions(kwargs: dict[str, Any]) -> Tensor | None:
    mask = kwargs.get("attention_mask")
    if mask is not None and mask.dim() != 2:
        raise ConfigError(f"mixing needs an attention_mask of shape (B, L), not {tuple(mask.shape)}")
    return mask.bool() if mask is not None else None


def _logits(output: Any) -> Tensor:
    logits: Tensor = output["logits"] if isinstance(output, dict) else output[0]
    return logits
