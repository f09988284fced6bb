"""TextCNN (Kim 2014): parallel convolutions over word vectors, max over time, one linear map."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from textmix.models.words.base import WordConfig, WordModel, word_vectors


class TextCNNConfig(WordConfig):
    """Configuration of `TextCNN`. Defaults are those of Kim 2014, section 3.1, where the paper gives them.

    Args:
        num_filters: Feature maps of each kernel size. Default: 100.
        kernel_sizes: Widths of the convolutions in tokens. Default: 3, 4, 5.
    """

    model_type = "textmix-textcnn"

    num_filters: int = 100
    kernel_sizes: list[int] | tuple[int, ...] = (3, 4, 5)


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
