"""Base classes of the word models: word vectors, blocks, a sentence vector, one linear layer."""

from typing import Any, Self

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import SequenceClassifierOutput
from transformers.utils import can_return_tuple

from textmix.errors import ModelError
from textmix.mixing.losses import plain_loss
from textmix.models.pooling import masked_max


class WordConfig(PretrainedConfig):
    """Base class of the configurations of the word models.

    Args:
        vocab_size: Number of token ids.
        embedding_dim: E, the size of the word vectors. Default: 300 (Kim 2014).
        dropout: Dropout on the sentence vector. Default: 0.5 (Kim 2014).
        initializer_range: Random word vectors are uniform in ± this. Default: 0.25, about the variance of the word2vec
            vectors (Kim 2014, section 3.2).
        static_embeddings: Do not train the word vectors (static); by default they are trained (non-static, Kim 2014).
        pad_token_id: Id of the padding token, whose vector is zero.
        num_hidden_layers: Number of blocks between word vectors and sentence vector.
    """

    attribute_map = {"hidden_size": "embedding_dim"}  # noqa: RUF012

    # Annotations without values, as in `MixupEncoderConfig`.
    vocab_size: int
    embedding_dim: int
    dropout: float
    initializer_range: float
    static_embeddings: bool
    pad_token_id: int
    num_hidden_layers: int

    def __init__(
        self,
        vocab_size: int = 30_000,
        embedding_dim: int = 300,
        dropout: float = 0.5,
        initializer_range: float = 0.25,
        static_embeddings: bool = False,
        pad_token_id: int = 0,
        num_hidden_layers: int = 1,
        **kwargs: Any,
    ) -> None:
        self.vocab_size = vocab_size
        self.embedding_dim = embedding_dim
        self.dropout = dropout
        self.initializer_range = initializer_range
        self.static_embeddings = static_embeddings
        self.num_hidden_layers = num_hidden_layers
        super().__init__(**kwargs)
        self.pad_token_id = pad_token_id  # last: transformers < 5 sets it to None


class WordModel(PreTrainedModel):
    """A classifier over word vectors: blocks, one sentence vector, dropout, one linear layer.

    Subclasses define the blocks, each a map of `hidden` (B, L, ·) under `attention_mask` (B, L), and `pool`.

    Args:
        config: Its configuration.
        embeddings: The word vectors.
        blocks: The modules between the word vectors and the sentence vector.
        pooled_size: Size of the sentence vector.

    Shapes:
        input_ids and attention_mask (B, L), or inputs_embeds (B, L, E), to logits (B, num_labels).
    """

    config: WordConfig

    def __init__(self, config: WordConfig, embeddings: nn.Embedding, blocks: list[nn.Module], pooled_size: int) -> None:
        super().__init__(config)
        self.num_labels = config.num_labels or 0
        self.embeddings = embeddings
        self.blocks = nn.ModuleList(blocks)
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = nn.Linear(pooled_size, self.num_labels)
        self.post_init()  # type: ignore[no-untyped-call]
        self._freeze_static()

    @classmethod
    def from_pretrained(cls, *args: Any, **kwargs: Any) -> Self:
        """Load a saved model; static word vectors stay static."""
        loaded = super().from_pretrained(*args, **kwargs)
        # Loading replaces the frozen parameter.
        (loaded[0] if isinstance(loaded, tuple) else loaded)._freeze_static()
        return loaded

    def _freeze_static(self) -> None:
        self.embeddings.weight.requires_grad_(not self.config.static_embeddings)

    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.Embedding):
            nn.init.uniform_(module.weight, -self.config.initializer_range, self.config.initializer_range)
            if module.padding_idx is not None:
                nn.init.zeros_(module.weight[module.padding_idx])
        elif isinstance(module, nn.Conv1d | nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)

    def get_input_embeddings(self) -> nn.Embedding:
        """Return the word vectors."""
        return self.embeddings

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Replace the word vectors."""
        if not isinstance(value, nn.Embedding):
            raise ModelError(
                f"the word vectors of {type(self).__name__} must be an nn.Embedding, not {type(value).__name__}"
            )
        self.embeddings = value

    def set_word_vectors(self, vectors: dict[int, np.ndarray]) -> None:
        """Overwrite the vectors of some tokens; the others keep their random vectors.

        Args:
            vectors: Vector of each token id, each of shape (embedding_dim,).

        Raises:
            ModelError: If a vector has another size.
        """
        for token_id, vector in vectors.items():
            if vector.shape != (self.config.embedding_dim,):
                raise ModelError(
                    f"word vectors have shape {vector.shape} but model.words.embedding_dim is"
                    f" {self.config.embedding_dim}"
                )
            with torch.no_grad():
                self.embeddings.weight[token_id] = torch.as_tensor(vector, dtype=self.embeddings.weight.dtype)

    def embed(self, input_ids: Tensor, attention_mask: Tensor | None) -> Tensor:
        """Look up the vectors of token ids (B, L); returns (B, L, E)."""
        vectors: Tensor = self.embeddings(input_ids)
        return vectors

    def pool(self, hidden: Tensor, real: Tensor) -> Tensor:
        """Pool the output of the last block (B, L, H) into sentence vectors (B, H): the maximum over time.

        Args:
            hidden: Shape (B, L, H).
            real: Shape (B, L), bool.
        """
        return masked_max(hidden, real)

    @can_return_tuple  # type: ignore[untyped-decorator]
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        **kwargs: Any,
    ) -> SequenceClassifierOutput:
        """Classify a batch.

        Args:
            input_ids: Token ids, shape (B, L).
            attention_mask: 1 at real positions, shape (B, L); None means that all are real.
            inputs_embeds: Word vectors instead of ids, shape (B, L, E).
            labels: Targets as in `textmix.mixing.losses.score`; adds the mean loss.
            **kwargs: `num_items_in_batch`, by which the summed loss is divided instead of by B;
                `output_hidden_states`, which adds the word vectors and the output of each block; `return_dict=False`,
                which returns a tuple. Others are ignored: these models know neither segments nor positions.

        Raises:
            ModelError: If neither or both of input_ids and inputs_embeds are given.
        """
        if (input_ids is None) == (inputs_embeds is None):
            raise ModelError("give exactly one of input_ids and inputs_embeds")
        hidden = inputs_embeds if input_ids is None else self.embed(input_ids, attention_mask)
        assert hidden is not None
        mask = attention_mask if attention_mask is not None else hidden.new_ones(hidden.shape[:2])
        if hidden.shape[1] == 0:  # every text of the batch is empty: add one masked position
            hidden, mask = F.pad(hidden, (0, 0, 0, 1)), F.pad(mask, (0, 1))
        states = [hidden]
        for block in self.blocks:
            states.append(block(states[-1], attention_mask=mask))
        logits = self.classifier(self.dropout(self.pool(states[-1], mask.bool())))
        keep = kwargs.get("output_hidden_states", self.config.output_hidden_states)
        return SequenceClassifierOutput(
            loss=plain_loss(logits, labels, self.config.problem_type, kwargs.get("num_items_in_batch")),
            logits=logits,
            hidden_states=tuple(states) if keep else None,
        )


def word_vectors(config: WordConfig) -> nn.Embedding:
    """Build the embedding of the word vectors."""
    return nn.Embedding(config.vocab_size, config.embedding_dim, padding_idx=config.pad_token_id)
