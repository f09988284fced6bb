"""FastText (Joulin et al. 2017): the mean of the vectors of words and n-grams, one linear layer."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from textmix.models.pooling import masked_mean
from textmix.models.words.base import WordConfig, WordModel

_MULTIPLIER = 116_049_371  # a large prime, so that consecutive ids do not share buckets


class FastTextConfig(WordConfig):
    """Configuration of `FastText`.

    Args:
        ngrams: Maximum length of the n-grams that have vectors; 1 means words only.
        buckets: Number of n-gram vectors, which n-grams share by their hash.
        dropout: Dropout on the sentence vector. Default: 0, as in the paper.
    """

    model_type = "textmix-fasttext"

    ngrams: int
    buckets: int

    def __init__(
        self,
        ngrams: int = 1,
        buckets: int = 50_000,
        dropout: float = 0.0,
        num_hidden_layers: int = 0,
        **kwargs: Any,
    ) -> None:
        self.ngrams = ngrams
        self.buckets = buckets
        super().__init__(dropout=dropout, num_hidden_layers=num_hidden_layers, **kwargs)


class NgramEmbedding(nn.Embedding):
    """Word vectors plus the vectors of the n-grams that end at the same position.

    An n-gram that contains padding has no vector.

    Args:
        config: Sizes, and the padding token.
    """

    def __init__(self, config: FastTextConfig) -> None:
        super().__init__(config.vocab_size, config.embedding_dim, padding_idx=config.pad_token_id)
        self.longest = config.ngrams
        # Bucket 0 means no n-gram.
        self.ngrams = nn.Embedding(config.buckets + 1, config.embedding_dim, 0) if config.ngrams > 1 else None

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  # the name in nn.Embedding
        """Map token ids (B, L) to vectors (B, L, E)."""
        vectors = super().forward(input)
        if self.ngrams is None:
            return vectors
        buckets = self.ngrams.num_embeddings - 1
        code, real = input, input.ne(self.padding_idx or 0)
        whole = real
        for _ in range(2, self.longest + 1):
            # Combine the n-gram that ends one position before with the word at this position.
            code = (_shifted(code) * _MULTIPLIER + input) % buckets
            whole = _shifted(whole) & real
            vectors = vectors + self.ngrams(torch.where(whole, code + 1, 0))
        return vectors


def _shifted(values: Tensor) -> Tensor:
    """Move values (B, L) by one position to the right; the first gets 0."""
    return F.pad(values, (1, 0))[:, :-1]


class FastText(WordModel):
    """The linear classifier of Joulin et al. 2017 as a transformers model.

    Its sentence vector is the sum of the vectors of all words and n-grams, divided by the number of words. It has no
    blocks and can be mixed at its tokens, embeddings and sentence vectors.

    Args:
        config: Its configuration.

    Shapes:
        input_ids and attention_mask (B, L), or inputs_embeds (B, L, E), to logits (B, num_labels).
    """

    config: FastTextConfig
    embeddings: NgramEmbedding
    config_class = FastTextConfig

    def __init__(self, config: FastTextConfig) -> None:
        super().__init__(config, NgramEmbedding(config), [], config.embedding_dim)

    def _init_weights(self, module: nn.Module) -> None:
        if module is self.embeddings.ngrams:
            nn.init.zeros_(self.embeddings.ngrams.weight)  # n-grams that do not occur in training add nothing
        else:
            super()._init_weights(module)

    def embed(self, input_ids: Tensor, attention_mask: Tensor | None) -> Tensor:
        """Look up the vectors of token ids (B, L); n-grams over masked positions are left out. Returns (B, L, E)."""
        if attention_mask is not None:
            input_ids = input_ids.masked_fill(~attention_mask.bool(), self.config.pad_token_id)
        return super().embed(input_ids, attention_mask)

    def pool(self, hidden: Tensor, real: Tensor) -> Tensor:
        """Take the mean over time."""
        return masked_mean(hidden, real)
