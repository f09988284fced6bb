"""AttachedMixer: a mixer that acts on one model through hooks."""

from functools import partial
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from textmix.errors import ConfigError, ModelError
from textmix.hooks.blocks import Arguments, forward_arguments
from textmix.hooks.forward_pass import Forward
from textmix.hooks.probabilities import class_probabilities
from textmix.hooks.saliency import mean_embeddings, token_saliency
from textmix.hooks.site_hooks import SiteHooks
from textmix.hooks.sites import Sites, check_sites, find_sites, hidden_size, problem_type
from textmix.io.compat import in_backward
from textmix.mixing.config import MixConfig
from textmix.mixing.functional import average_windows
from textmix.mixing.loss_config import LossConfig
from textmix.mixing.losses import plain_loss, resolve_problem_type
from textmix.mixing.mixer import Mixer

_ATTRIBUTE = "mixer"


class AttachedMixer(Mixer):
    """A mixer that acts on one model, through hooks, during its ordinary single forward pass.

    In training mode, each forward pass with labels draws a plan, mixes the batch at the plan's site, and scores the
    logits against the blended targets. All other forward passes are unchanged. In addition to the labels a batch may
    have `sample_weight`, shape (B,): the weight of each row; and `windows`, shape (B,): the number of inputs of each
    row, one after the other, whose sentence vectors are averaged before they are mixed.

    Create one with `attach`. It is a context manager: at the end of a `with` block it detaches.

    Args:
        model: The classifier; it is not changed before `attach` is called.
        config: How to mix.
        loss: How to score.
        seed: Seed of the mixer's generator.
        rank: Rank of this process.
        strict: Raise an error for training batches without labels, which cannot be mixed.

    Raises:
        ModelError: If the model lacks a site that the strategy needs.
        ConfigError: If the number of class counts or class weights is not the number of classes of the model, or an
            option that the strategy or the loss needs is missing.
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
        # If no blocks were found, a strategy for hidden layers must fail instead of mixing only embeddings.
        super().__init__(config, loss, max(len(sites.blocks), 1), hidden_size(model), seed, rank)
        self._check_model(model, sites)
        self._model = model
        self._hooks = SiteHooks(model, sites, self._active)
        self._batch_dim = sites.blocks[0].layout.batch if sites.blocks else 0
        self._found = sites
        self._strict = strict
        self._parameters = forward_arguments(model)
        self._forward: Forward | None = None
        self._paused = False
        self._handles: list[RemovableHandle] = []

    def _check_model(self, model: nn.Module, sites: Sites) -> None:
        check_sites(type(model).__name__, sites, self.sites, self.config.strategy)
        classes = getattr(getattr(model, "config", None), "id2label", {})  # not known without a config
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
            ModelError: If the model already has a mixer.
        """
        model = self._model
        if _ATTRIBUTE in model.__dict__:
            raise ModelError(f"{type(model).__name__} already has a mixer attached; call model.mixer.detach() first")
        # Directly in __dict__: a mixer is neither a parameter nor a submodule and must not be in the state dict.
        model.__dict__[_ATTRIBUTE] = self
        self._handles += [
            model.register_forward_pre_hook(self._before_model, with_kwargs=True),
            model.register_forward_hook(self._after_model),
            *self._hooks.register(self.sites),
        ]

    def detach(self) -> None:
        """Remove every hook and the model's reference to this mixer."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        if self._model.__dict__.get(_ATTRIBUTE) is self:
            del self._model.__dict__[_ATTRIBUTE]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.detach()

    # Drawing and scoring run outside of compiled graphs: each draw would split the graph.
    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def _before_model(self, model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Arguments | None:
        if self._paused:
            return None
        self._forward = self.plan = None
        if not model.training:
            return None
        kwargs = {**dict(zip(self._parameters, args, strict=False)), **kwargs}
        # The model must not score the batch: its loss does not include the partners, and many models write the problem
        # type that they infer from the labels into their configuration.
        labels = kwargs.pop("labels", None)
        if labels is None:
            if self._strict:
                raise ConfigError(
                    "a training batch has no labels and cannot be mixed: they are missing from the data or from"
                    " label_names, or the Trainer's label_smoothing_factor, compute_loss_func or an overridden"
                    " compute_loss takes them; give label smoothing and class weights as loss=LossConfig(...)"
                )
            return None
        if self._found.decoder is not None and "use_cache" in self._parameters:
            kwargs = {"use_cache": False, **kwargs}  # as these models do when they get labels
        mask = _real_positions(kwargs)
        num_items, sample_weight = kwargs.pop("num_items_in_batch", None), kwargs.pop("sample_weight", None)
        windows = kwargs.pop("windows", None)
        forward = self._forward = Forward(
            self,
            type(model).__name__,
            problem_type(model),
            labels,
            num_items,
            sample_weight,
            windows,
            mask,
            self._found,
        )
        if mask is None or mask.shape[1]:  # otherwise every text is empty
            finders = {
                "find_means": partial(mean_embeddings, model, kwargs),
                "find_saliency": partial(self._saliency, kwargs, labels),
                "find_probabilities": partial(self._probabilities, kwargs, labels, windows),
            }
            self.plan = self.draw(labels, kwargs.get("input_ids"), mask, **finders)
        return (), kwargs if self.plan is None else forward.prepare(kwargs, self.plan)

    def _active(self) -> Forward | None:
        """Return the current forward pass if its batch is mixed or has windows to average, else None."""
        forward = self._forward
        if forward is None or (forward.plan is None and forward.windows is None) or self._paused:
            return None
        # After the forward pass a block can run again to recompute its activations in the backward pass, which needs
        # the same plan. A block that is called separately must not be mixed.
        return forward if forward.running or in_backward() else None

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def _after_model(self, model: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
        forward, plan = self._forward, self.plan
        if self._paused or forward is None:
            return None
        forward.end()
        if plan is not None and forward.unmixed > 0:
            raise ModelError(
                f"the forward pass of {forward.model} did not reach the site {plan.site}, perhaps because it bypasses"
                " the hooks of its modules: choose another strategy; if the model was compiled and run before the mixer"
                " was attached, call torch.compiler.reset()"
            )
        logits = _logits(output)
        self._hooks.check_pooling(forward, logits)
        if logits.requires_grad:
            logits.register_hook(partial(self._recompute, forward))  # type: ignore[no-untyped-call]
        scored = logits if forward.mixed_logits is None else torch.cat([logits, forward.mixed_logits])
        loss = self.score(scored, forward.labels, forward.problem_type, forward.num_items, forward.sample_weight)
        if plan is not None and plan.clean and not forward.beside:
            output = _first_rows(output, plan.clean)
        return type(output)(**{**output, "loss": loss}) if isinstance(output, dict) else (loss, *output)

    def _recompute(self, forward: Forward, grad: Tensor) -> None:
        """Make a forward pass the current one when its backward pass begins: others may have run in between."""
        self._forward = forward

    def _saliency(self, kwargs: dict[str, Any], labels: Tensor) -> Tensor:
        self._paused = True
        try:
            return token_saliency(
                self._model, kwargs, lambda output: self._unmixed_loss(_logits(output), labels), self._batch_dim
            )
        finally:
            self._paused = False

    def _unmixed_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        loss = plain_loss(logits, labels, problem_type(self._model), scoring=self.scoring(logits.device))
        assert loss is not None
        return loss

    def _probabilities(self, kwargs: dict[str, Any], labels: Tensor, windows: Tensor | None) -> Tensor:
        def find_logits(output: Any) -> Tensor:
            # The mean of the logits of windows is the linear map of the mean of their vectors.
            logits = _logits(output) if windows is None else average_windows(_logits(output), windows)
            kind = resolve_problem_type(problem_type(self._model), logits, labels)
            if kind != "single_label_classification":
                raise ConfigError(f"partner easy_hard and targets trust need one class for each row, not {kind}")
            return logits

        self._paused = True
        try:
            return class_probabilities(self._model, kwargs, find_logits)
        finally:
            self._paused = False


def _real_positions(kwargs: dict[str, Any]) -> Tensor | None:
    mask = kwargs.get("attention_mask")
    if mask is not None and mask.dim() != 2:
        raise ConfigError(f"mixing needs an attention_mask of shape (B, L), not {tuple(mask.shape)}")
    return mask.bool() if mask is not None else None


def _first_rows(value: Any, count: int) -> Any:
    """Return the first rows of every tensor in an output that has twice as many."""
    if isinstance(value, dict):
        return type(value)(**{name: _first_rows(item, count) for name, item in value.items()})
    if isinstance(value, tuple | list):
        return tuple(_first_rows(item, count) for item in value)
    return value[:count] if isinstance(value, Tensor) and value.shape[:1] == (2 * count,) else value


def _logits(output: Any) -> Tensor:
    logits: Tensor = output["logits"] if isinstance(output, dict) else output[0]
    return logits
