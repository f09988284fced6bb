"""The vectors of the tokens that training reads, gathered: gradients, their norm and the optimizer touch no others."""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from datasets import Dataset
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from textmix.data.tokenization import LazyTokens, token_ids_of
from textmix.mixing.config import MixConfig
from textmix.mixing.strategies.base import TOKENS, build_strategy
from textmix.mixing.strategies.choosing import AnyOf

# Where nearly every token is in use, as in a vocabulary that was made of the training rows, there is nothing to gain.
_MOST_IN_USE = 0.9


class GatheredEmbedding(nn.Embedding):
    """An embedding table of which `weight`, the parameter that is trained, has only the vectors of tokens in use.

    The others, in `rest`, never get a gradient. AdamW moves a weight that never had one by nothing but its decay, which
    `shrink` does; so training changes every vector as it would with the whole table (but for the order in which the
    norm of all gradients is summed). In evaluation all tokens are known. `state_dict()` gives the whole table, and
    loading takes it.

    Made by `gather_embedding`, which changes an embedding in place, and undone by `scatter_embedding`.

    Attributes:
        rest: Vectors of the tokens that are not in use, in the order of their ids.
        places: Shape (V,): for each token in use its row in `weight`, for each other `~row` in `rest`.
        padding_place: Row of the padding token in `weight`, which gets no gradient; None if there is none.
    """

    rest: nn.Parameter
    places: Tensor
    padding_place: int | None

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  # the name in nn.Embedding
        """Look up the vectors of token ids (B, L); returns (B, L, E)."""
        places = self.places[input]
        if self.training:
            return F.embedding(places, self.weight, self.padding_place)
        in_use = F.embedding(places.clamp(min=0), self.weight)
        others = F.embedding((~places).clamp(min=0), self.rest)
        return torch.where((places < 0).unsqueeze(-1), others, in_use)

    @torch.no_grad()
    def shrink(self, factor: float) -> None:
        """Multiply the vectors of the tokens that are not in use."""
        if factor != 1:
            self.rest.mul_(factor)

    def whole(self) -> Tensor:
        """Put the table together, shape (V, E)."""
        table = self.weight.new_empty(len(self.places), self.embedding_dim)
        with torch.no_grad():
            table[self.places >= 0], table[self.places < 0] = self.weight, self.rest
        return table

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        destination[prefix + "weight"] = self.whole()

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        loaded = nn.Embedding(len(self.places), self.embedding_dim, _weight=self.whole())
        loaded._load_from_state_dict(*args, **kwargs)
        with torch.no_grad():  # in place: the optimizer knows the parameter
            self.weight.copy_(loaded.weight[self.places >= 0])
            self.rest.copy_(loaded.weight[self.places < 0])


def gather_embedding(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, data: Dataset | LazyTokens, mix: MixConfig
) -> None:
    """Let the embedding table of a model train only the vectors of tokens that its training rows have.

    Leaves a model as it is where that gains little, or might not be the same: if the tokens are not known beforehand,
    the table is not trained, or shared with another part of the model, or is no plain `nn.Embedding`; if a strategy
    puts in tokens of its own.

    Args:
        model: A classifier, before its optimizer is made.
        tokenizer: Its padding and special tokens count as in use.
        data: Its training rows.
        mix: How they are mixed.
    """
    ids, embedding = token_ids_of(data), _plain_embedding(model)
    if ids is None or embedding is None or _puts_in_tokens(mix):
        return
    in_use = np.zeros(embedding.num_embeddings, dtype=bool)
    for chunk in ids.chunks:
        in_use[chunk.flatten().to_numpy()] = True
    in_use[[number for number in tokenizer.all_special_ids if number < len(in_use)]] = True
    if embedding.padding_idx is not None:
        in_use[embedding.padding_idx] = True
    if in_use.mean() < _MOST_IN_USE:
        places = np.where(in_use, np.cumsum(in_use) - 1, ~(np.cumsum(~in_use) - 1))
        _gather(embedding, torch.from_numpy(places).to(embedding.weight.device))


def _plain_embedding(model: PreTrainedModel) -> nn.Embedding | None:
    """Find the embedding table, if it is trained and nothing else uses it."""
    try:
        embedding = model.get_input_embeddings()
    except NotImplementedError:  # a model without one
        return None
    if type(embedding) is not nn.Embedding or not embedding.weight.requires_grad:
        return None
    owned = [parameter for module in model.modules() for parameter in module.parameters(recurse=False)]
    alone = sum(parameter is embedding.weight for parameter in owned) == 1
    changed = embedding.max_norm is not None or embedding.sparse or embedding.scale_grad_by_freq
    return embedding if alone and not changed else None


def _puts_in_tokens(mix: MixConfig) -> bool:
    strategy = build_strategy(mix)
    members = [member for member, _ in strategy.members] if isinstance(strategy, AnyOf) else [strategy]
    return any(member.new_tokens and TOKENS in member.sites(1) for member in members)


def _gather(embedding: nn.Embedding, places: Tensor) -> None:
    table, trained = embedding.weight.detach(), embedding.weight.requires_grad
    embedding.__class__ = GatheredEmbedding
    assert isinstance(embedding, GatheredEmbedding)
    embedding.weight = nn.Parameter(table[places >= 0], requires_grad=trained)
    embedding.rest = nn.Parameter(table[places < 0], requires_grad=False)
    embedding.register_buffer("places", places, persistent=False)
    embedding.padding_place = None if embedding.padding_idx is None else int(places[embedding.padding_idx])


def scatter_embedding(embedding: GatheredEmbedding) -> nn.Embedding:
    """Turn an embedding back into the plain one with the whole table, in place."""
    embedding.weight = nn.Parameter(embedding.whole(), requires_grad=embedding.weight.requires_grad)
    del embedding.rest, embedding.places, embedding.padding_place
    plain: nn.Embedding = embedding
    plain.__class__ = nn.Embedding
    return plain


def gathered_embeddings(model: nn.Module) -> list[GatheredEmbedding]:
    """Find what `gather_embedding` made in a model."""
    return [module for module in model.modules() if isinstance(module, GatheredEmbedding)]
