"""The vectors of the tokens that training reads, gathered: gradients, their norm and the optimizer touch no others."""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from datasets import Dataset
from torch import Tensor, nn
from torch.optim import Optimizer
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from textmix.data.tokenization import LazyTokens, token_lists
from textmix.mixing.config import MixConfig
from textmix.mixing.registry import build_strategy
from textmix.mixing.site_names import TOKENS

# Where nearly every token is in use, as in a vocabulary that was made of the training rows, there is nothing to gain.
_MOST_IN_USE = 0.9


class GatheredEmbedding(nn.Embedding):
    """An embedding table of which `weight`, the parameter that is trained, has only the vectors of tokens in use.

    The others, in `unused`, never get a gradient. AdamW moves a weight that never had one by nothing but its decay,
    which `decay` does; so training changes every vector as it would with the whole table (but for the order in which
    the norm of all gradients is summed). In training only tokens in use can be looked up, in evaluation all of them.
    `state_dict()` gives the whole table, and loading takes it.

    Made by `gather_embedding`, which changes an embedding in place, and undone by `scatter_embeddings`.

    Attributes:
        unused: Vectors of the tokens that are not in use, in the order of their ids; a parameter, so that an average
            of the weights has them too, but no optimizer.
        places: Shape (V,): for each token in use its row in `weight`; for each other -1 - its row in `unused`.
        padding_row: Row of the padding token in `weight`, which gets no gradient; None if there is none.
    """

    unused: nn.Parameter
    places: Tensor
    padding_row: int | None

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  # the name in nn.Embedding
        """Look up the vectors of token ids (B, L); returns (B, L, E).

        Raises:
            IndexError: In training on a CPU, if one of the tokens is not in use.
        """
        places = self.places[input]
        if self.training:
            return F.embedding(places, self.weight, self.padding_row)
        in_use = F.embedding(places.clamp(min=0), self.weight)
        others = F.embedding((-1 - places).clamp(min=0), self.unused)
        return torch.where((places < 0).unsqueeze(-1), others, in_use)

    @torch.no_grad()
    def decay(self, optimizer: Optimizer, args: object, kwargs: object) -> None:
        """Let the vectors that are not in use decay as those in use do; called after each step of the optimizer."""
        group = next(group for group in optimizer.param_groups if any(self.weight is one for one in group["params"]))
        if group["weight_decay"]:
            self.unused.mul_(1 - group["lr"] * group["weight_decay"])

    def full_table(self) -> Tensor:
        """Put the table together, shape (V, E)."""
        table = self.weight.new_empty(len(self.places), self.embedding_dim)
        with torch.no_grad():
            table[self.places >= 0], table[self.places < 0] = self.weight, self.unused
        return table

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        destination[prefix + "weight"] = self.full_table()

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        loaded = nn.Embedding(len(self.places), self.embedding_dim, _weight=self.full_table())
        loaded._load_from_state_dict(*args, **kwargs)
        with torch.no_grad():  # in place: the optimizer knows the parameter
            self.weight.copy_(loaded.weight[self.places >= 0])
            self.unused.copy_(loaded.weight[self.places < 0])


def gather_embedding(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, data: Dataset | LazyTokens, mix: MixConfig
) -> None:
    """Let the embedding table of a model train only the vectors of tokens that its training rows have.

    Leaves a model as it is where that gains little, or might not be the same: if the tokens are not known beforehand;
    if the table is not trained, or shared with another part of the model, or is no plain `nn.Embedding`; if a transform
    of the rows or a strategy may put in other tokens.

    Args:
        model: A classifier, before its optimizer is made.
        tokenizer: Its padding and special tokens count as in use.
        data: Its training rows.
        mix: How they are mixed.
    """
    scatter_embeddings(model)  # another trainer may have gathered it and never trained
    ids, embedding = token_lists(data, "input_ids"), _plain_embedding(model)
    transformed = isinstance(data, Dataset) and data.format["type"] == "custom"
    if ids is None or embedding is None or transformed or _puts_in_tokens(mix):
        return
    in_use = np.zeros(embedding.num_embeddings, dtype=bool)
    types = token_lists(data, "token_type_ids")  # which GPT-2 and its like look up in the table of tokens
    for chunk in (*ids.chunks, *(types.chunks if types is not None else ())):
        in_use[chunk.flatten().to_numpy()] = True
    in_use[[number for number in tokenizer.all_special_ids if number < len(in_use)]] = True
    if embedding.padding_idx is not None:
        in_use[embedding.padding_idx] = True
    if in_use.mean() < _MOST_IN_USE:
        _gather(embedding, in_use)


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
    # A forward of the instance is accelerate's, which spreads a model over devices.
    own_forward = "forward" in vars(embedding)
    changed = own_forward or embedding.max_norm is not None or embedding.sparse or embedding.scale_grad_by_freq
    return embedding if alone and not changed else None


def _puts_in_tokens(mix: MixConfig) -> bool:
    return any(member.new_tokens and TOKENS in member.sites(1) for member, _ in build_strategy(mix).members)


def _gather(embedding: nn.Embedding, in_use: "np.ndarray[Any, np.dtype[np.bool_]]") -> None:
    table = embedding.weight.detach()
    rows = np.where(in_use, np.cumsum(in_use) - 1, -np.cumsum(~in_use))
    places = torch.from_numpy(rows.astype(np.int32)).to(table.device)
    embedding.__class__ = GatheredEmbedding
    assert isinstance(embedding, GatheredEmbedding)
    embedding.weight = nn.Parameter(table[places >= 0])
    embedding.unused = nn.Parameter(table[places < 0], requires_grad=False)
    embedding.register_buffer("places", places, persistent=False)
    embedding.padding_row = None if embedding.padding_idx is None else int(rows[embedding.padding_idx])


def gathered_embeddings(model: nn.Module) -> list[GatheredEmbedding]:
    """Find what `gather_embedding` made in a model."""
    return [module for module in model.modules() if isinstance(module, GatheredEmbedding)]


def scatter_embeddings(model: nn.Module) -> None:
    """Turn what `gather_embedding` made back into plain embeddings with the whole table, in place."""
    for embedding in gathered_embeddings(model):
        embedding.weight = nn.Parameter(embedding.full_table())
        del embedding.unused, embedding.places, embedding.padding_row
        plain: nn.Embedding = embedding
        plain.__class__ = nn.Embedding
