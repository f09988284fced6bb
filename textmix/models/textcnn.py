"""TextCNN (Kim 2014): parallel convolutions over word vectors, max over time, one linear map."""

from typing import Any, Self

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import SequenceClassifierOutput

from textmix.errors import ModelError
from textmix.mixing.losses import plain_loss
from textmix.models.pooling import masked_max


class TextCNNConfig(PreTrainedConfig):
    """Configuration of `TextCNN`. Defaults are those of Kim 2014, section 3.1, where the paper gives them.

    Args:
        vocab_size: Number of token ids.
        embedding_dim: Width of the word vectors. Default: 300.
        num_filters: Feature maps of each kernel size. Default: 100.
        kernel_sizes: Widths of the convolutions in tokens. Default: 3, 4, 5.
        dropout: Dropout on the pooled vector. Default: 0.5.
        static_embeddings: Keep the word vectors fixed (CNN-static) instead of tuning them (CNN-non-static).
        pad_token_id: Id of the padding token, whose vector is zero.
    """

    model_type = "textmix-textcnn"
    attribute_map = {"hidden_size": "embedding_dim"}  # noqa: RUF012

    vocab_size: int = 30_000
    embedding_dim: int = 300
    num_filters: int = 100
    kernel_sizes: list[int] | tuple[int, ...] = (3, 4, 5)
    dropout: float | int = 0.5
    static_embeddings: bool = False
    pad_token_id: int = 0
    num_hidden_layers: int = 1


class ConvolutionBlock(nn.Module):
    """Convolutions of several widths side by side, each followed by a rectifier.

    Every output position is centred on one input position, and inputs at padding are zeroed first: a row's features
    depend neither on how far its batch is padded nor on what the padding holds.

    Args:
        width: E, the width of the input vectors.
        num_filters: Feature maps of each kernel size.
        kernel_sizes: Widths of the K convolutions in tokens.
    """

    def __init__(self, width: int, num_filters: int, kernel_sizes: list[int] | tuple[int, ...]) -> None:
        super().__init__()
        self.kernel_sizes = tuple(kernel_sizes)
        self.convolutions = nn.ModuleList(nn.Conv1d(width, num_filters, size) for size in kernel_sizes)

    def forward(self, hidden: Tensor, attention_mask: Tensor) -> Tensor:
        """Map `hidden` (B, L, E) under `attention_mask` (B, L) to features (B, L, K · num_filters)."""
        channels = hidden.masked_fill(~attention_mask.bool().unsqueeze(-1), 0).transpose(1, 2)
        features = []
        for size, convolution in zip(self.kernel_sizes, self.convolutions, strict=True):
            before = (size - 1) // 2
            padded = F.pad(channels, (before, size - 1 - before))
            features.append(F.relu(convolution(padded)))
        return torch.cat(features, dim=1).transpose(1, 2)


class TextCNN(PreTrainedModel):
    """The convolutional sentence classifier of Kim 2014 as a transformers model.

    Args:
        config: Its configuration.

    Shapes:
        input_ids and attention_mask (B, L), or inputs_embeds (B, L, E), to logits (B, num_labels).
    """

    config: TextCNNConfig
    config_class = TextCNNConfig

    def __init__(self, config: TextCNNConfig) -> None:
        super().__init__(config)
        self.num_labels = config.num_labels or 0
        self.embeddings = nn.Embedding(config.vocab_size, config.embedding_dim, padding_idx=config.pad_token_id)
        self.blocks = nn.ModuleList([ConvolutionBlock(config.embedding_dim, config.num_filters, config.kernel_sizes)])
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = nn.Linear(config.num_filters * len(config.kernel_sizes), self.num_labels)
        self.post_init()  # type: ignore[no-untyped-call]
        self._freeze_static()

    @classmethod
    def from_pretrained(cls, *args: Any, **kwargs: Any) -> Self:
        """Load a saved TextCNN; static word vectors stay static."""
        loaded = super().from_pretrained(*args, **kwargs)
        # Loading replaces the parameters, and with them what was frozen.
        (loaded[0] if isinstance(loaded, tuple) else loaded)._freeze_static()
        return loaded

    def _freeze_static(self) -> None:
        self.embeddings.weight.requires_grad_(not self.config.static_embeddings)

    def _init_weights(self, module: nn.Module) -> None:
        # Uniform in [-0.25, 0.25] gives random word vectors about the variance of the word2vec ones (Kim 2014, 3.2).
        if isinstance(module, nn.Embedding):
            nn.init.uniform_(module.weight, -0.25, 0.25)
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
            raise ModelError(f"the word vectors of TextCNN must be an nn.Embedding, not {type(value).__name__}")
        self.embeddings = value

    def set_word_vectors(self, vectors: dict[int, np.ndarray]) -> None:
        """Overwrite the vectors of some tokens with given ones; the others keep their random vectors.

        Args:
            vectors: Vector of each token id, each of shape (embedding_dim,).

        Raises:
            ModelError: If a vector is not of that width.
        """
        for token_id, vector in vectors.items():
            if vector.shape != (self.config.embedding_dim,):
                raise ModelError(
                    f"word vectors have shape {vector.shape} but model.words.embedding_dim is"
                    f" {self.config.embedding_dim}"
                )
            with torch.no_grad():
                self.embeddings.weight[token_id] = torch.as_tensor(vector, dtype=self.embeddings.weight.dtype)

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
            labels: Targets as in `textmix.mixing.functional.sample_losses`; adds the mean loss.
            **kwargs: `num_items_in_batch`, by which the summed loss is divided instead of by B.

        Raises:
            ModelError: If neither or both of input_ids and inputs_embeds are given.
        """
        if (input_ids is None) == (inputs_embeds is None):
            raise ModelError("give exactly one of input_ids and inputs_embeds")
        hidden = inputs_embeds if inputs_embeds is not None else self.embeddings(input_ids)
        mask = attention_mask if attention_mask is not None else hidden.new_ones(hidden.shape[:2])
        if hidden.shape[1] == 0:  # every text of the batch is empty: one masked position stands for nothing
            hidden, mask = F.pad(hidden, (0, 0, 0, 1)), F.pad(mask, (0, 1))
        for block in self.blocks:
            hidden = block(hidden, attention_mask=mask)
        logits = self.classifier(self.dropout(masked_max(hidden, mask.bool())))
        loss = plain_loss(logits, labels, self.config.problem_type, kwargs.get("num_items_in_batch"))
        return SequenceClassifierOutput(loss=loss, logits=logits)


AutoConfig.register(TextCNNConfig.model_type, TextCNNConfig)
AutoModelForSequenceClassification.register(TextCNNConfig, TextCNN)
