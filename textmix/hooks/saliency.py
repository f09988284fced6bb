"""Mean embeddings and saliency of tokens, which some strategies and partners need before the batch is mixed."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from textmix.errors import ModelError
from textmix.hooks.blocks import hidden_of


def mean_embeddings(model: nn.Module, kwargs: dict[str, Any]) -> Tensor:
    """Average the token embeddings of each row over its real positions.

    Args:
        model: A Hugging Face model.
        kwargs: Arguments of its forward.

    Returns:
        Shape (B, E), where E is the size of the embeddings.
    """
    embeddings: Tensor | None = kwargs.get("inputs_embeds")
    with torch.no_grad():
        if embeddings is None:
            # Call forward directly, so that the mixing hooks do not run.
            embeddings = hidden_of(model.get_input_embeddings().forward(kwargs["input_ids"]))  # type: ignore[operator]
        mask = kwargs.get("attention_mask")
        if mask is None:
            return embeddings.mean(dim=1)
        weights: Tensor = mask.to(embeddings.dtype).unsqueeze(-1)
        return (weights * embeddings).sum(dim=1) / weights.sum(dim=1).clamp(min=1)


def token_saliency(
    model: nn.Module, kwargs: dict[str, Any], find_loss: Callable[[Any], Tensor], batch: int = 0
) -> Tensor:
    """Compute the norm of the loss's gradient at each token's embedding, in a separate pass.

    The gradients of the parameters do not change.

    Args:
        model: A Hugging Face model; its forward takes token ids.
        kwargs: Arguments of its forward, without labels.
        find_loss: Returns the loss of the model's output.
        batch: Dimension of the batch inside the model.

    Returns:
        Shape (B, L), float32.
    """
    leaves: list[Tensor] = []

    def cut_off(module: nn.Module, args: tuple[Any, ...], output: Tensor) -> Tensor:
        leaves.append(output.detach().requires_grad_())
        return leaves[-1]

    handles = [module.register_forward_hook(cut_off) for module in _tables(model)]
    try:
        with torch.enable_grad():
            (gradient,) = torch.autograd.grad(find_loss(model(**kwargs)), leaves[:1])
    except RuntimeError as error:
        if "use_reentrant" not in str(error):
            raise
        raise ModelError(
            f"{type(model).__name__} uses reentrant gradient checkpointing, with which saliency cannot be computed: set"
            ' gradient_checkpointing_kwargs={"use_reentrant": False}'
        ) from error
    finally:
        for handle in handles:
            handle.remove()
    norms: Tensor = gradient.float().norm(dim=-1).transpose(0, batch)
    return norms


def _tables(model: nn.Module) -> list[nn.Embedding]:
    """Return the modules that share the table of tokens; in an encoder-decoder the encoder's comes first."""
    weight = model.get_input_embeddings().weight  # type: ignore[operator]
    return [module for module in model.modules() if isinstance(module, nn.Embedding) and module.weight is weight]
