"""SiteHooks: the hooks inside a model that mix the batch at the site of its plan and unite the masks after it."""

from collections.abc import Callable, Collection
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from textmix.errors import ModelError
from textmix.hooks.blocks import MEMORY, Arguments, Block, hidden_of
from textmix.hooks.forward_pass import Forward
from textmix.hooks.pooling import join_ends, pool_end, pool_last, pool_mean
from textmix.hooks.sites import Sites, pad_token_id
from textmix.mixing.functional import average_windows
from textmix.mixing.site_names import EMBEDDINGS, POOLED, TOKENS, block_after, layer, site_before


class SiteHooks:
    """Hooks on the embeddings, the blocks and the classifier of one model.

    Args:
        model: The classifier.
        sites: Its sites.
        active: Returns the current forward pass; None if its batch is neither mixed nor has windows.
    """

    def __init__(self, model: nn.Module, sites: Sites, active: Callable[[], Forward | None]) -> None:
        self._model = model
        self._found = sites
        self._active = active
        self._pooled: tuple[Tensor, Tensor | None] | None = None
        self._pools_last = False
        self._pools_first = False
        self._appends = False
        self._behind_blocks = False

    def register(self, names: Collection[str]) -> list[RemovableHandle]:
        """Register the hooks for plans at these sites; returns their handles."""
        handles = []
        if self._found.embeddings is not None and EMBEDDINGS in names:
            handles.append(self._found.embeddings.register_forward_hook(self._after_embeddings))
        handles += self._register_blocks(self._found.blocks, names)
        if self._found.classifier is not None:
            handles.append(self._found.classifier.register_forward_pre_hook(self._before_classifier))
        if self._found.decoder is not None:
            handles.append(self._found.decoder.model.register_forward_hook(self._after_decoder))
            handles.append(self._found.decoder.head.register_forward_pre_hook(self._before_head))
        return handles

    def _register_blocks(self, blocks: tuple[Block, ...], names: Collection[str]) -> list[RemovableHandle]:
        hidden = [number for number in range(len(blocks) + 1) if site_before(number) in names]
        if not blocks or not hidden:
            return []
        self._behind_blocks = hidden[-1] > 0
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
        for item in self._found.masked:
            before = partial(self._before_masked, item)
            handles.append(item.module.register_forward_pre_hook(before, with_kwargs=True))
        ends = {len(blocks), self._found.decoder.first} if self._found.decoder is not None else {len(blocks)}
        for end in ends.intersection(hidden):
            last = blocks[end - 1]
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
        if site is None:
            return None
        decoder = self._found.decoder
        first = decoder.first if decoder is not None and number >= decoder.first else 0
        if number == 0:
            self._check_first(forward, block, args, kwargs)
        if number < site:
            for mask in block.layout.masks:
                args, kwargs = block.replace(mask.name, forward.own_copy, args, kwargs)
            return args, kwargs
        if number == max(site, first):
            follows = first and site <= first
            enter = forward.start_decoder if follows else partial(forward.enter, batch=block.layout.batch)
            args, kwargs = block.replace(block.arguments[0], enter, args, kwargs)
        return self._behind_site(forward, block, args, kwargs) if site > first else (args, kwargs)

    def _check_first(self, forward: Forward, block: Block, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Refuse masks that cannot be united, at whichever site; and find out whether the model appends padding."""
        if self._behind_blocks:
            for name in block.unknown_masks:
                block.replace(name, partial(_refuse_mask, forward, name), args, kwargs)
        hidden, mask = (block.value(name, args, kwargs) for name in (block.arguments[0], block.layout.masks[0].name))
        own = forward.own_mask
        if own is None or block.layout.batch or not isinstance(mask, Tensor) or hidden.shape[1] <= own.shape[1]:
            return
        if not self._appends and mask.shape[-1] == hidden.shape[1]:
            tail = mask[..., own.shape[1] :]
            self._appends = not bool((tail if mask.dtype == torch.bool else tail >= 0).any())
        if self._appends:
            forward.added = hidden.shape[1] - own.shape[1]

    def _behind_site(self, forward: Forward, block: Block, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Arguments:
        """Mix what a block behind the site gets beside the hidden state, and that was computed in front of the site."""
        if forward.in_decoder:
            args, kwargs = block.replace(MEMORY, partial(forward.follow, mask=forward.own_mask), args, kwargs)
        assert forward.plan is not None
        if not forward.plan.strategy.joins_masks:
            return args, kwargs
        args, kwargs = block.replace("alibi", forward.unite_alibi, args, kwargs)
        for mask in block.layout.masks:
            args, kwargs = block.replace(mask.name, partial(forward.unite, kind=mask), args, kwargs)
        return args, kwargs

    def _before_sibling(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Arguments | None:
        """Pass the mixed hidden state to a sibling module that also reads the block's input (DeBERTa's convolution)."""
        forward = self._active()
        if forward is None or forward.entered is None:
            return None
        given = {name: forward.mixed_again(value) for name, value in kwargs.items()}
        return tuple(forward.mixed_again(value) for value in args), given

    def _before_masked(
        self, item: Block, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Arguments | None:
        forward = self._active()
        if forward is None or forward.given_is_united:
            return None
        return item.replace(item.layout.masks[0].name, forward.own_copy, args, kwargs)

    def _after_last_block(
        self, block: Block, calls: list[int], module: nn.Module, args: tuple[Any, ...], output: Any
    ) -> Any:
        forward = self._active()
        if forward is None or forward.plan is None or forward.plan.site != layer(calls[-1] + 1):
            return None
        if len(calls) > 1 and forward.calls[module] < len(calls):
            return None
        hidden = hidden_of(output)
        mixed = forward.enter(hidden, block.layout.batch)
        if forward.ends_decoder:
            mixed = join_ends(forward, hidden, mixed)
        return type(output)((mixed, *output[1:])) if isinstance(output, tuple | list) else mixed

    def _before_classifier(self, module: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
        forward = self._active()
        if forward is None:
            return None
        hidden = args[0] if forward.windows is None else average_windows(args[0], forward.windows)
        if forward.plan is None:
            return (hidden, *args[1:])
        if hidden.dim() == 2 or self._is_token_level(forward, hidden):
            if forward.plan.site != POOLED:
                return None
            self._pools_first = True
            mixed = forward.mix(hidden, None if hidden.dim() == 2 else forward.own_mask)
            if not forward.beside:
                return (mixed, *args[1:])
            self._run_beside(forward, module, hidden, mixed)
            return (hidden, *args[1:])
        if forward.plan.site == TOKENS:
            return None  # the model pools at the last token of the mixed row
        if self._found.averages:
            vectors, mixed, hidden = pool_mean(forward, hidden)
        else:
            vectors, mixed, hidden = pool_last(forward, hidden, pad_token_id(self._model))
        if forward.beside:
            self._run_beside(forward, module, vectors, mixed)
            return None
        if not self._pools_last:
            self._pooled = module.forward(mixed), None
        return (hidden, *args[1:])

    def _run_beside(self, forward: Forward, module: nn.Module, clean: Tensor, mixed: Tensor) -> None:
        """Run the classifier on mixed vectors; the model then runs it on the clean ones."""
        forward.mixed_logits = module.forward(mixed)
        if not self._pools_last:
            self._pooled = module.forward(clean), None

    def _after_decoder(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        forward = self._active()
        if forward is not None and forward.running:
            forward.decoded = output[0]

    def _before_head(self, module: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
        """Pool the decoder at the end of the mixed row instead of the end of the row itself."""
        forward = self._active()
        if forward is None or forward.plan is None or forward.plan.site in (TOKENS, POOLED):
            return None
        if args[0].dim() != 2:
            raise ModelError(
                f"{forward.model} pools its decoder after its classifier: it can be mixed at {TOKENS} only"
            )
        expected, pooled = pool_end(forward)
        if not self._pools_last:
            self._pooled = expected, args[0]
        return (pooled, *args[1:])

    def _is_token_level(self, forward: Forward, hidden: Tensor) -> bool:
        labels = forward.labels
        if forward.problem_type in ("multi_label_classification", "regression"):
            return False
        return not labels.is_floating_point() and labels.shape[1:] == hidden.shape[1:2]

    def check_pooling(self, forward: Forward, logits: Tensor) -> None:
        """Check once that a model that pools after its classifier pools at the last token, or a decoder at its end.

        Where the classifier has run beside the model, also that its outputs are the logits.

        Raises:
            ModelError: If it does not.
        """
        if self._pooled is None:
            return
        (expected, found), self._pooled = self._pooled, None
        found = logits if found is None else found
        if found.shape != expected.shape or (found - expected).norm() > 0.05 * expected.norm():
            if self._pools_first:
                raise ModelError(
                    f"the logits of {forward.model} are not the outputs of its classifier: leave out regmix"
                )
            where = "after its classifier, and not" if self._found.decoder is None else "its decoder, but not"
            how = "as the mean" if self._found.averages else "at the last token"
            raise ModelError(f"{forward.model} pools {where} {how} of each row: it can be mixed at {TOKENS} only")
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


def _refuse_mask(forward: Forward, name: str, mask: Tensor) -> Tensor:
    raise ModelError(
        f"{forward.model} gives its blocks a {name}, which cannot be united for two rows: it can be mixed at {TOKENS},"
        f" {EMBEDDINGS} and {POOLED} only"
    )
