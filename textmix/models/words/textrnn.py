"""TextRNN: a bidirectional LSTM over word vectors, max over time, one linear layer (Conneau et al. 2017)."""

from typing import Any

import torch
from torch import Tensor, nn

from textmix.io.compat import was_loaded
from textmix.models.words.base import WordConfig, WordModel, word_vectors


class TextRNNConfig(WordConfig):
    """Configuration of `TextRNN`; `num_hidden_layers` is the number of stacked bidirectional LSTMs.

    Args:
        lstm_units: Size of the hidden state of each direction. Default: 150, so that both together have the size of the
            word vectors of Kim 2014.
    """

    model_type = "textmix-textrnn"

    lstm_units: int

    def __init__(self, lstm_units: int = 150, **kwargs: Any) -> None:
        self.lstm_units = lstm_units
        super().__init__(**kwargs)


class BidirectionalLSTM(nn.Module):
    """Two LSTMs that read the real positions of each row forwards and backwards (Graves and Schmidhuber 2005).

    Padding is skipped wherever it is: the output of a row depends neither on the amount nor on the side of the padding.

    Args:
        input_size: E, the size of the input vectors.
        hidden_size: H, the size of the hidden state of each direction.
    """

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.forwards = nn.LSTM(input_size, hidden_size, batch_first=True)
        self.backwards = nn.LSTM(input_size, hidden_size, batch_first=True)

    def forward(self, hidden: Tensor, attention_mask: Tensor) -> Tensor:
        """Map `hidden` (B, L, E) under `attention_mask` (B, L) to states (B, L, 2 · H)."""
        real = attention_mask.bool()
        backwards = _read(self.backwards, hidden.flip(1), real.flip(1)).flip(1)
        return torch.cat([_read(self.forwards, hidden, real), backwards], dim=-1)


def _read(lstm: nn.LSTM, hidden: Tensor, real: Tensor) -> Tensor:
    """Run an LSTM over the real positions of each row: move them to the front, and move their states back.

    The padding behind them cannot affect them. Packed sequences would also skip padding, but they allow no gaps and
    need the lengths on the CPU, which neither ONNX nor a compiled graph has.
    """
    front = real.cumsum(dim=1)
    behind = front[:, -1:] + (~real).cumsum(dim=1)
    place = (torch.where(real, front, behind) - 1).unsqueeze(-1)
    states, _ = lstm(torch.zeros_like(hidden).scatter(1, place.expand_as(hidden), hidden))
    found: Tensor = states.gather(1, place.expand(-1, -1, states.shape[-1]))
    return found


class TextRNN(WordModel):
    """The bidirectional LSTM with max pooling that Conneau et al. 2017 choose, as a transformers model.

    Args:
        config: Its configuration.

    Shapes:
        input_ids and attention_mask (B, L), or inputs_embeds (B, L, E), to logits (B, num_labels).
    """

    config: TextRNNConfig
    config_class = TextRNNConfig

    def __init__(self, config: TextRNNConfig) -> None:
        sizes = [config.embedding_dim] + [2 * config.lstm_units] * (config.num_hidden_layers - 1)
        blocks: list[nn.Module] = [BidirectionalLSTM(size, config.lstm_units) for size in sizes]
        super().__init__(config, word_vectors(config), blocks, 2 * config.lstm_units)

    def _init_weights(self, module: nn.Module) -> None:
        if not isinstance(module, nn.LSTM):
            super()._init_weights(module)
            return
        for name, parameter in module.named_parameters():
            if was_loaded(parameter):  # the guard of transformers does not see it in the chunks below
                continue
            if name.startswith("weight_hh"):
                for gate in parameter.chunk(4):  # input, forget, cell and output gate
                    nn.init.orthogonal_(gate)  # Saxe et al. 2014
            elif name.startswith("weight_ih"):
                nn.init.xavier_uniform_(parameter)
            else:
                nn.init.zeros_(parameter)
                if name.startswith("bias_ih"):
                    nn.init.ones_(parameter.chunk(4)[1])  # the forget gate (Jozefowicz et al. 2015)
