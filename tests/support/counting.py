"""Count what mixing leaves behind at a model, and how often it runs the blocks."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from torch import nn


def hooks(model: nn.Module) -> int:
    """Count the hooks of a model."""
    return sum(
        len(getattr(module, name))
        for module in model.modules()
        for name in vars(module)
        if name.endswith("_hooks") or name.endswith("_hooks_with_kwargs")
    )


@contextmanager
def counting_blocks(model: nn.Module) -> Iterator[dict[str, int]]:
    """Count how often each block of each list of blocks runs."""
    lists = [(name, module) for name, module in model.named_modules() if isinstance(module, nn.ModuleList)]
    blocks = {f"{name}.{index}": block for name, items in lists for index, block in enumerate(items)}
    counts = dict.fromkeys(blocks, 0)

    def count(name: str) -> Callable[[nn.Module, object], None]:
        def hook(module: nn.Module, args: object) -> None:
            counts[name] += 1

        return hook

    handles = [block.register_forward_pre_hook(count(name)) for name, block in blocks.items()]
    try:
        yield counts
    finally:
        for handle in handles:
            handle.remove()
