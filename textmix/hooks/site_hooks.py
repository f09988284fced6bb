"""SiteHooks: the hooks inside a model that mix the batch at the site of its plan and unite the masks after it."""

from collections.abc import Callable, Collection
from functools import partial
from typing import Any

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from textmix.errors import ModelError
from textmix.hooks.forward_pass import Forward
from textmix.hooks.sites import Arguments, Block, Sites, hidden_of, pad_token_id
from textmix.mixing.site_names import EMBEDDINGS, POOLED, TOKENS, block_after, layer, site_before


class SiteHooks:
    """Hooks on the embeddings, the blocks and the classifier of one model.

    Args:
        model: The classifier.
        sites: Its sites.
        active: Returns the current forward pass; None if its batch is not mixed.
    """

    def __init__(self, model: nn.Module, sites: Sites, active: Callable[[], Forward | None]) -> None:
        self._model = model
        self._found = sites
        self._active = active
        self._expected: Tensor | None = None
        self._pools_last = False

    def register(self, names: Collection[str]) -> list[RemovableHandle]:
        """Register the hooks for plans at these sites; returns their handles."""
        handles = []
        if self._found.embeddings is not None and EMBEDDINGS in names:
            handles.append(self._found.embeddings.register_forward_hook(self._after_embeddings))
        handles += self._register_blocks(self._found.blocks, names)
        if self._found.classifier is not None:
            handles.append(self._found.classifier.register_forward_pre_hook(self._before_classifier))
        return handles

    def _register_blocks(self, blocks: tuple[Block, ...], names: Collection[str]) -> list[RemovableHandle]:
        hidden = [number for number in range(len(blocks) + 1) if site_before(number) in names]
        if not blocks or not hidden:
            return []
        numbers: dict[nn.Module, list[int]] = {}
        for number, block in enumerate(blocks):
            numbers.setdefault(block.module, []).append(number)
        handles = []
        # Partials of bound methods, not closures: the hooks of a deep copy of the model then use the copied mixer.
        for module, calls in numbers.items():
            before = partial(self._before_block, blocks[calls[0]], calls)
            handles.append(module.register_forward_pre_hook(before, with_kwargs=True))
        for module in self._found.siblings:
            handles.append(module.register_forward_pre_hook(self._before_sibling, with_kwargs=True))
        if len(blocks) in hidden:
            last = blocks[-1]
            after = partial(self._after_last_block, last, numbers[last.module])
            handles.append(last.module.register_forward_hook(after))
        return handles

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
        number = _number(forward, module, calls)
        site = block_after(forward.plan.site)
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

    def _before_sibling(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Arguments | None:
        """Pass the mixed hidden state to a sibling module that also reads the block's input (DeBERTa's convolution)."""
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
            return None  # the model pools at the last token of the mixed row
        vectors, hidden = forward.pool_last(hidden, pad_token_id(self._model))
        if not self._pools_last:
            self._expected = module.forward(vectors)
        return (hidden, *args[1:])

    def _is_token_level(self, forward: Forward, hidden: Tensor) -> bool:
        labels = forward.labels
        if forward.problem_type in ("multi_label_classification", "regression"):
            return False
        return not labels.is_floating_point() and labels.shape[1:] == hidden.shape[1:2]

    def check_pooling(self, forward: Forward, logits: Tensor) -> None:
        """Check once that a model that pools after its classifier pools at the last token.

        Raises:
            ModelError: If it does not.
        """
        expected, self._expected = self._expected, None
        if expected is None:
            return
        if logits.shape != expected.shape or (logits - expected).norm() > 0.05 * expected.norm():
            raise ModelError(
                f"{forward.model} pools after its classifier, and not at the last token of each row: it can be mixed"
                f" at {TOKENS} only"
            )
        self._pools_last = True


def _number(forward: Forward, module: nn.Module, calls: list[int]) -> int:
    """Return the number of the block that is about to run; a shared module runs as several blocks."""
    if len(calls) == 1:
        return calls[0]
    if not forward.running:
        raise ModelError(
            f"{forward.model} shares blocks, so recomputed activations cannot be assigned to a block: turn gradient"
            " checkpointing off"
        )
    number = forward.calls.get(module, 0)
    forward.calls[module] = number + 1
    return calls[number]


def _refuse_alibi(forward: Forward, alibi: Tensor) -> Tensor:
    raise ModelError(
        f"{forward.model} computes its position biases (ALiBi) from each row's own mask before the first block: it can"
        f" be mixed at {TOKENS}, {EMBEDDINGS} and {POOLED} only"
    )
