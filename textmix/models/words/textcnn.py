"""TextCNN (Kim 2014): parallel convolutions over word vectors, max over time, one linear layer."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from textmix.models.words.base import WordConfig, WordModel, word_vectors


class TextCNNConfig(WordConfig):
    """Configuration of `TextCNN`; defaults follow Kim 2014, section 3.1.

    Args:
        num_filters: Number of feature maps for each kernel size. Default: 100.
        kernel_sizes: Sizes of the convolution kernels in tokens. Default: 3, 4, 5.
    """

    model_type = "textmix-textcnn"

    num_filters: int
    kernel_sizes: list[int] | tuple[int, ...]

    def __init__(
        self, num_filters: int = 100, kernel_sizes: list[int] | tuple[int, ...] = (3, 4, 5), **kwargs: Any
    ) -> None:
        self.num_filters = num_filters
        self.kernel_sizes = kernel_sizes
        super().__init__(**kwargs)


class ConvolutionBlock(nn.Module):
    """Parallel convolutions of several kernel sizes, each followed by a ReLU.

    Every output position is centred on one input position, and inputs at padding are set to zero. The features of a row
    therefore depend neither on the amount of padding nor on its content.

    Args:
        embedding_dim: E, the size of the input vectors.
        num_filters: Number of feature maps for each kernel size.
        kernel_sizes: Sizes of the K convolution kernels in tokens.
    """

    def __init__(self, embedding_dim: int, num_filters: int, kernel_sizes: list[int] | tuple[int, ...]) -> None:
        super().__init__()
        self.kernel_sizes = tuple(kernel_sizes)
        self.convolutions = nn.ModuleList(nn.Conv1d(embedding_dim, num_filters, size) for size in kernel_sizes)

    def forward(self, hidden: Tensor, attention_mask: Tensor) -> Tensor:
        """Map `hidden` (B, L, E) under `attention_mask` (B, L) to features (B, L, K · num_filters)."""
        channels = hidden.masked_fill(~attention_mask.bool().unsqueeze(-1), 0).transpose(1, 2)
        features = []
        for size, convolution in zip(self.kernel_sizes, self.convolutions, strict=True):
            before = (size - 1) // 2
            padded = F.pad(channels, (before, size - 1 - before))
            features.append(F.relu(convolution(padded)))
        return torch.cat(features, dim=1).transpose(1, 2)


class TextCNN(WordModel):
    """The convolutional sentence classifier of Kim 2014 as a transformers model.

    Args:
        config: Its configuration.

    Shapes:
        input_ids and attention_mask (B, L), or inputs_embeds (B, L, E), to logits (B, num_labels).
    """

    config: TextCNNConfig
    config_class = TextCNNConfig

    def __init__(self, config: TextCNNConfig) -> None:
        block = ConvolutionBlock(config.embedding_dim, config.num_filters, config.kernel_sizes)
        super().__init__(config, word_vectors(config), [block], config.num_filters * len(config.kernel_sizes))
