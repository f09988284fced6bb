"""AttachedMixer: the hooks through which a mixer acts on a model."""

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from textmix.errors import ConfigError, ModelError
from textmix.hooks.forward_pass import Forward
from textmix.hooks.saliency import mean_embeddings, token_saliency
from textmix.hooks.sites import (
    Arguments,
    Block,
    block_behind,
    find_sites,
    forward_arguments,
    hidden_of,
    hidden_size,
    pad_token_id,
    site_before,
)
from textmix.mixing.config import LossConfig, MixConfig
from textmix.mixing.losses import plain_loss
from textmix.mixing.mixer import Mixer
from textmix.mixing.strategies.base import EMBEDDINGS, POOLED, TOKENS, layer

_ATTRIBUTE = "mixer"


class AttachedMixer(Mixer):
    """A mixer that acts on one model, through hooks, during its ordinary single forward pass.

    While the model is in training mode and is given labels, each forward draws a plan, mixes the batch at the plan's
    site, and scores the logits against the blended targets. In every other forward nothing is touched. Beside the
    labels a batch may have `sample_weight`, shape (B,): how much each of its rows counts. Make one with `attach`.

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
        # A strategy for hidden layers must not shrink to the embeddings in silence where no blocks were found.
        super().__init__(config, loss, max(len(sites.blocks), 1), hidden_size(model), seed, rank)
        missing = [site for site in self.sites if site not in sites.names]
        if missing:
            raise ModelError(
                f"{type(model).__name__} has no site {', '.join(missing)} for strategy '{config.strategy}';"
                f" it offers {', '.join(sites.names)}"
            )
        counts, num_labels = config.class_counts, getattr(getattr(model, "config", None), "num_labels", None)
        if counts is not None and num_labels is not None and len(counts) != num_labels:
            raise ConfigError(
                f"class_counts has {len(counts)} numbers, but {type(model).__name__} has {num_labels} classes"
            )
        self._model = model
        self._found = sites
        self._strict = strict
        self._parameters = forward_arguments(model)
        self._forward: Forward | None = None
        self._paused = False
        self._expected: Tensor | None = None
        self._pools_last = False
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
        hidden = [number for number in range(len(blocks) + 1) if site_before(number) in self.sites]
        if not blocks or not hidden:
            return
        numbers: dict[nn.Module, list[int]] = {}
        for number, block in enumerate(blocks):
            numbers.setdefault(block.module, []).append(number)
        # Partials of bound methods, not closures: a deep copy of the model then has hooks of its own mixer.
        for module, calls in numbers.items():
            before = partial(self._before_block, blocks[calls[0]], calls)
            self._handles.append(module.register_forward_pre_hook(before, with_kwargs=True))
        for module in self._found.beside:
            self._handles.append(module.register_forward_pre_hook(self._before_beside, with_kwargs=True))
        if len(blocks) in hidden:
            last = blocks[-1]
            after = partial(self._after_last_block, last, numbers[last.module])
            self._handles.append(last.module.register_forward_hook(after))

    # Drawing and scoring are left out of compiled graphs, where each draw would break them: the rest is one graph.
    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def _before_model(self, model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Arguments | None:
        if self._paused:
            return None
        self._forward = self.plan = None
        if not model.training:
            return None
        kwargs = {**dict(zip(self._parameters, args, strict=False)), **kwargs}
        # The model must not score the batch itself: its loss knows nothing of partners, and many models write what
        # they guess from the labels into config.problem_type.
        labels = kwargs.pop("labels", None)
        if labels is None:
            if self._strict:
                raise ConfigError(
                    "a training batch has no labels, so that it cannot be mixed: they may be missing from the data or"
                    " from label_names, or compute_loss_func may have taken them"
                )
            return None
        mask = kwargs.get("attention_mask")
        if mask is not None and mask.dim() != 2:
            raise ConfigError(f"mixing needs an attention_mask of shape (B, L), not {tuple(mask.shape)}")
        mask = mask.bool() if mask is not None else None
        num_items, sample_weight = kwargs.pop("num_items_in_batch", None), kwargs.pop("sample_weight", None)
        forward = Forward(type(model).__name__, labels, num_items, sample_weight, mask, bool(self._found.beside))
        self._forward = forward
        if mask is None or mask.shape[1]:  # else every text is empty, and there is nothing to mix
            self.plan = self.draw(
                labels,
                kwargs.get("input_ids"),
                mask,
                find_means=partial(mean_embeddings, model, kwargs),
                find_saliency=partial(self._saliency, kwargs, labels),
            )
        return (), kwargs if self.plan is None else forward.prepare(kwargs, self.plan)

    def _active(self) -> Forward | None:
        """Return the forward pass that a hook belongs to, when its batch is mixed."""
        forward = self._forward
        if forward is None or forward.plan is None or self._paused:
            return None
        # Outside the model's own forward a block may run again because its activations are recomputed in the backward
        # pass: that must see the same plan. A block that is called on its own must not.
        return forward if forward.running or torch._C._current_graph_task_id() != -1 else None

    def _after_embeddings(self, module: nn.Module, args: tuple[Any, ...], output: Tensor) -> Tensor | None:
        forward = self._active()
        if forward is None or forward.plan is None or forward.plan.site != EMBEDDINGS:
            return None
        return forward.enter(output, 0)

    def _before_block(
        self, block: Block, calls: list[int], module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Arguments | None:
        forward = self._active()
        if forward is None or forward.plan is None:
            return None
        number = self._number(forward, module, calls)
        site = block_behind(forward.plan.site)
        if site is None or number < site:
            return None
        layout = block.layout
        if number == site:
            enter = partial(forward.enter, batch=layout.batch)
            args, kwargs = block.replace(block.arguments[0], enter, args, kwargs)
        if site > 0 and "alibi" in block.arguments:
            block.replace("alibi", partial(_refuse_alibi, forward), args, kwargs)
        if site > 0 and forward.plan.strategy.joins_masks and layout.mask in block.arguments:
            args, kwargs = block.replace(layout.mask, partial(forward.unite, layout=layout), args, kwargs)
        return args, kwargs

    def _number(self, forward: Forward, module: nn.Module, calls: list[int]) -> int:
        """Say which of the model's blocks is about to run: a shared one runs several times."""
        if len(calls) == 1:
            return calls[0]
        if not forward.running:
            raise ModelError(
                f"{forward.model} shares blocks, whose recomputed activations cannot be told apart: turn checkpointing"
                " off"
            )
        number = forward.calls.get(module, 0)
        forward.calls[module] = number + 1
        return calls[number]

    def _before_beside(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Arguments | None:
        """Give a module that reads, beside the blocks, what the block at the site was given (DeBERTa) the mixed one."""
        forward = self._active()
        if forward is None or forward.entered is None:
            return None
        before, after = forward.entered
        given = {name: after if value is before else value for name, value in kwargs.items()}
        return tuple(after if value is before else value for value in args), given

    def _after_last_block(
        self, block: Block, calls: list[int], module: nn.Module, args: tuple[Any, ...], output: Any
    ) -> Any:
        forward = self._active()
        if forward is None or forward.plan is None or forward.plan.site != layer(calls[-1] + 1):
            return None
        if len(calls) > 1 and forward.calls[module] < len(calls):
            return None
        mixed = forward.enter(hidden_of(output), block.layout.batch)
        return type(output)((mixed, *output[1:])) if isinstance(output, tuple | list) else mixed

    def _before_classifier(self, module: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
        forward = self._active()
        if forward is None or forward.plan is None:
            return None
        hidden, pooled = args[0], forward.plan.site == POOLED
        if hidden.dim() == 2:
            return (forward.mix(hidden, None), *args[1:]) if pooled else None
        if self._is_token_level(forward, hidden):
            return (forward.mix(hidden, forward.own_mask), *args[1:]) if pooled else None
        if forward.plan.site == TOKENS:
            return None  # the model finds the last token of the mixed row itself
        vectors, hidden = forward.pool_last(hidden, pad_token_id(self._model))
        if not self._pools_last:
            self._expected = module.forward(vectors)
        return (hidden, *args[1:])

    def _is_token_level(self, forward: Forward, hidden: Tensor) -> bool:
        labels = forward.labels
        declared = _problem_type(self._model)
        if declared in ("multi_label_classification", "regression"):
            return False
        return not labels.is_floating_point() and labels.shape[1:] == hidden.shape[1:2]

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
        self._check_pooling(forward, logits)
        if logits.requires_grad:
            logits.register_hook(partial(self._recompute, forward))  # type: ignore[no-untyped-call]
        loss = self.score(logits, forward.labels, _problem_type(model), forward.num_items, forward.sample_weight)
        if plan is not None and plan.clean:
            logits = logits[: plan.clean]
        if isinstance(output, dict):
            fields = {name: value for name, value in output.items() if name not in ("loss", "logits")}
            return type(output)(loss=loss, logits=logits, **fields)
        return (loss, logits, *output[1:])

    def _recompute(self, forward: Forward, grad: Tensor) -> None:
        """Go back to a forward pass whose backward pass begins: others may have run since."""
        self._forward = forward

    def _check_pooling(self, forward: Forward, logits: Tensor) -> None:
        """Make sure, once, that a model with its pooling behind the classifier pools at the last token."""
        expected, self._expected = self._expected, None
        if expected is None:
            return
        if logits.shape != expected.shape or (logits - expected).norm() > 0.05 * expected.norm():
            raise ModelError(
                f"{forward.model} pools behind its classifier, and not at the last token of each row: it can be mixed"
                f" at {TOKENS} only"
            )
        self._pools_last = True

    def _saliency(self, kwargs: dict[str, Any], labels: Tensor) -> Tensor:
        def find_loss(output: Any) -> Tensor:
            logits = _logits(output)
            loss = plain_loss(logits, labels, _problem_type(self._model), scoring=self.scoring(logits.device))
            assert loss is not None
            return loss

        blocks = self._found.blocks
        batch = blocks[0].layout.batch if blocks else 0
        self._paused = True
        try:
            return token_saliency(self._model, kwargs, find_loss, batch)
        finally:
            self._paused = False


def _refuse_alibi(forward: Forward, alibi: Tensor) -> Tensor:
    raise ModelError(
        f"{forward.model} makes its position biases (ALiBi) of each row's own mask before the first block: it can be"
        f" mixed at {TOKENS}, {EMBEDDINGS} and {POOLED} only"
    )


def _logits(output: Any) -> Tensor:
    logits: Tensor = output["logits"] if isinstance(output, dict) else output[0]
    return logits


def _problem_type(model: nn.Module) -> str | None:
    return getattr(getattr(model, "config", None), "problem_type", None)
