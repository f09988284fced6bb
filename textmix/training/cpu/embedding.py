"""Train only the embedding rows that occur in the training data."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from datasets import Dataset
from torch import Tensor, nn
from torch.optim import Optimizer
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from textmix.data.standardize import IN_MEMORY
from textmix.data.tokenization import LazyTokens, token_lists
from textmix.mixing.config import MixConfig
from textmix.mixing.registry import build_strategy
from textmix.mixing.site_names import TOKENS

# If nearly all tokens occur, as with a vocabulary trained on the same rows, a compact embedding gains nothing.
_MOST_IN_USE = 0.9
_TOKENIZED_AT_ONCE = 1024


class CompactEmbedding(nn.Embedding):
    """An embedding table whose trained parameter, `weight`, has only the rows of tokens in use.

    The rows of the other tokens, in `unused`, never get a gradient. AdamW changes a weight without gradient only by
    weight decay, which `decay` applies. Training therefore changes every row as with the whole table, except for the
    rounding of the gradient norm, which is summed in another order. In training only tokens in use can be looked up, in
    evaluation all tokens. `state_dict()` returns the whole table, and `load_state_dict()` takes it.

    Args:
        whole: The embedding with the whole table.
        in_use: Which tokens are in use, shape (V,), bool.

    Attributes:
        unused: Rows of the tokens that are not in use, in the order of their ids. It is a parameter, so that an average
            of the weights includes it, but no optimizer trains it.
        places: Shape (V,): for a token in use its row in `weight`; for any other token -1 - its row in `unused`.
        padding_row: Row of the padding token in `weight`, which gets no gradient; None if there is none.
    """

    unused: nn.Parameter
    places: Tensor
    padding_row: int | None

    def __init__(self, whole: nn.Embedding, in_use: npt.NDArray[np.bool_]) -> None:
        table = whole.weight.detach()
        rows = np.where(in_use, np.cumsum(in_use) - 1, -1 * np.cumsum(~in_use))
        places = torch.from_numpy(rows.astype(np.int32)).to(table.device)
        super().__init__(whole.num_embeddings, whole.embedding_dim, whole.padding_idx, _weight=table)
        self.weight = nn.Parameter(table[places >= 0])
        self.unused = nn.Parameter(table[places < 0], requires_grad=False)
        self.register_buffer("places", places, persistent=False)
        self.padding_row = None if whole.padding_idx is None else int(rows[whole.padding_idx])
        self.training = whole.training

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  # the name in nn.Embedding
        """Look up the rows of token ids (B, L); returns (B, L, E).

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
        """Apply weight decay to the rows that are not in use; called after each step of the optimizer."""
        group = next(group for group in optimizer.param_groups if any(self.weight is one for one in group["params"]))
        if group["weight_decay"]:
            self.unused.mul_(1 - group["lr"] * group["weight_decay"])

    def full_table(self) -> Tensor:
        """Return the whole table, shape (V, E)."""
        table = self.weight.new_empty(len(self.places), self.embedding_dim)
        with torch.no_grad():
            table[self.places >= 0], table[self.places < 0] = self.weight, self.unused
        return table

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        destination[prefix + "weight"] = self.full_table()

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        loaded = nn.Embedding(len(self.places), self.embedding_dim, _weight=self.full_table())
        loaded._load_from_state_dict(*args, **kwargs)
        with torch.no_grad():  # in place: the optimizer holds the parameter
            self.weight.copy_(loaded.weight[self.places >= 0])
            self.unused.copy_(loaded.weight[self.places < 0])


@contextmanager
def compact_embedding(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    data: Dataset | LazyTokens,
    mix: MixConfig,
    rows: npt.NDArray[np.integer[Any]] | None = None,
) -> Iterator[None]:
    """Replace the embedding table of a model by a `CompactEmbedding` within a `with` block.

    The model keeps its table if there is little to gain or the result could differ: if finding the tokens would take
    too long; if the table is not trained, is shared with another part of the model, or is not a plain `nn.Embedding`;
    if a transform of the data or a strategy can add other tokens.

    Args:
        model: A classifier, before its optimizer is built.
        tokenizer: Its padding and special tokens count as in use.
        data: Its training rows.
        mix: How they are mixed.
        rows: Numbers of the rows that are trained on; None means all. More than 100 000 rows that are tokenised on
            demand are not searched for tokens.
    """
    whole = _plain_embedding(model)
    in_use = None if whole is None or _puts_in_tokens(mix) else _tokens_in_use(whole, tokenizer, data, rows)
    if whole is None or in_use is None or in_use.mean() >= _MOST_IN_USE:
        yield
        return
    compact = CompactEmbedding(whole, in_use)
    model.set_input_embeddings(compact)
    try:
        yield
    finally:
        whole.weight = nn.Parameter(compact.full_table())
        whole.training = compact.training
        model.set_input_embeddings(whole)


def _plain_embedding(model: PreTrainedModel) -> nn.Embedding | None:
    """Return the embedding table if it is trained and not shared, else None."""
    try:
        embedding = model.get_input_embeddings()
    except NotImplementedError:  # a model without one
        return None
    if type(embedding) is not nn.Embedding or not embedding.weight.requires_grad:
        return None
    places = (module for _, module in model.named_modules(remove_duplicate=False))  # of T5, one module in several
    owned = [parameter for module in places for parameter in module.parameters(recurse=False)]
    alone = sum(parameter is embedding.weight for parameter in owned) == 1
    # accelerate sets forward on the instance when it dispatches a model to several devices.
    own_forward = "forward" in vars(embedding)
    changed = own_forward or embedding.max_norm is not None or embedding.sparse or embedding.scale_grad_by_freq
    return embedding if alone and not changed else None


def _puts_in_tokens(mix: MixConfig) -> bool:
    return any(member.new_tokens and TOKENS in member.sites(1) for member, _ in build_strategy(mix).members)


def _tokens_in_use(
    embedding: nn.Embedding,
    tokenizer: PreTrainedTokenizerBase,
    data: Dataset | LazyTokens,
    rows: npt.NDArray[np.integer[Any]] | None,
) -> npt.NDArray[np.bool_] | None:
    """Find the tokens that training looks up, shape (V,), bool; None if they cannot be found."""
    if isinstance(data, LazyTokens):
        numbers = np.arange(len(data)) if rows is None else rows
        if len(numbers) > IN_MEMORY:
            return None
        ids = _ids_of(data, numbers)
    else:
        columns = [token_lists(data, name) for name in ("input_ids", "token_type_ids")]
        if columns[0] is None or data.format["type"] == "custom":
            return None
        # Models like GPT-2 look up token types in the same table.
        ids = (chunk.flatten().to_numpy() for column in columns if column is not None for chunk in column.chunks)
    in_use = np.zeros(embedding.num_embeddings, dtype=bool)
    for some in ids:
        in_use[some] = True
    in_use[[number for number in tokenizer.all_special_ids if number < len(in_use)]] = True
    if embedding.padding_idx is not None:
        in_use[embedding.padding_idx] = True
    return in_use


def _ids_of(data: LazyTokens, numbers: npt.NDArray[np.integer[Any]]) -> Iterable[npt.NDArray[np.integer[Any]]]:
    for start in range(0, len(numbers), _TOKENIZED_AT_ONCE):
        rows = data.__getitems__(numbers[start : start + _TOKENIZED_AT_ONCE].tolist())
        for name in ("input_ids", "token_type_ids"):
            yield np.fromiter(chain.from_iterable(row.get(name, ()) for row in rows), dtype=np.int64)


def compact_embeddings(model: nn.Module) -> list[CompactEmbedding]:
    """Return the compact embeddings of a model."""
    return [module for module in model.modules() if isinstance(module, CompactEmbedding)]
