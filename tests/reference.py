"""An independent forward pass for mixing: one pair of rows at a time, unpadded, without masks, hooks or batches."""

from functools import partial

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from textmix.models.words.fasttext import FastText
from textmix.models.words.textcnn import TextCNN
from textmix.models.words.textrnn import TextRNN


class Reference:
    """The pieces of a model that a pair of rows passes through."""

    def __init__(self, model: PreTrainedModel) -> None:
        self.model = model

    def embed(self, ids: Tensor) -> Tensor:
        """Embed one unpadded row, (L,) to (L, H)."""
        encoder = self.model.base_model
        return encoder.embeddings(ids[None])[0]

    def blocks(self) -> list[nn.Module]:
        model = self.model
        if isinstance(model, TextCNN):
            return [self._convolve]
        if isinstance(model, TextRNN):
            return [partial(_read_both_ways, block) for block in model.blocks]
        if isinstance(model, FastText):
            return []
        encoder = model.base_model
        return list(encoder.transformer.layer if hasattr(encoder, "transformer") else encoder.encoder.layer)

    def _convolve(self, hidden: Tensor) -> Tensor:
        """Slide every kernel over the row, one window at a time."""
        block = self.model.blocks[0]
        row, outputs = hidden[0], []
        for convolution in block.convolutions:
            size = convolution.kernel_size[0]
            before = (size - 1) // 2
            features = []
            for t in range(len(row)):
                value = convolution.bias.clone()
                for k in range(size):
                    if 0 <= t - before + k < len(row):
                        value = value + convolution.weight[:, :, k] @ row[t - before + k]
                features.append(value.clamp(min=0))
            outputs.append(torch.stack(features))
        return torch.cat(outputs, dim=1)[None]

    def pool(self, hidden: Tensor) -> Tensor:
        """Pool one row whose positions are all real, (L, H) to (H,)."""
        model = self.model
        name = model.pooling.name if hasattr(model, "pooling") else type(model).__name__
        if name in ("mean", "FastText"):
            return hidden.sum(0) / len(hidden)
        if name in ("max", "TextCNN", "TextRNN"):
            return torch.stack([max(hidden[:, h]) for h in range(hidden.shape[1])])
        if name == "attention":
            scores = [
                (hidden[t] @ model.pooling.score.weight[0] + model.pooling.score.bias[0]) for t in range(len(hidden))
            ]
            total = sum(score.exp() for score in scores)
            return sum(score.exp() / total * hidden[t] for t, score in enumerate(scores))
        if name == "last":
            return hidden[-1]
        if name == "BertForSequenceClassification":
            return model.bert.pooler(hidden[None])[0]
        if name == "DistilBertForSequenceClassification":
            return torch.relu(model.pre_classifier(hidden[0]))
        if name == "RobertaForSequenceClassification":
            return torch.tanh(model.classifier.dense(hidden[0]))
        return hidden[0]

    def classify(self, pooled: Tensor) -> Tensor:
        """Map the pooled vector of one row to logits."""
        model = self.model
        classifier = getattr(model.classifier, "out_proj", model.classifier)
        return classifier.weight @ pooled + classifier.bias


def _read_both_ways(block: nn.Module, hidden: Tensor) -> Tensor:
    """Read one row, (1, L, E), with one LSTM from the left and with one from the right."""
    left = _read(block.forwards, list(hidden[0]))
    right = _read(block.backwards, list(hidden[0])[::-1])[::-1]
    return torch.stack([torch.cat(states) for states in zip(left, right, strict=True)])[None]


def _read(lstm: nn.LSTM, row: list[Tensor]) -> list[Tensor]:
    """Hochreiter and Schmidhuber's equations, one step after the other."""
    state = cell = torch.zeros(lstm.hidden_size, dtype=row[0].dtype)
    states = []
    for vector in row:
        gates = lstm.weight_ih_l0 @ vector + lstm.bias_ih_l0 + lstm.weight_hh_l0 @ state + lstm.bias_hh_l0
        take, keep, new, show = gates.chunk(4)
        cell = keep.sigmoid() * cell + take.sigmoid() * new.tanh()
        state = show.sigmoid() * cell.tanh()
        states.append(state)
    return states


def blend_rows(own: Tensor, other: Tensor, lam: float, padding: str) -> Tensor:
    """Blend two unpadded rows of different lengths."""
    rows = []
    for t in range(max(len(own), len(other))):
        if t < len(own) and t < len(other):
            rows.append(lam * own[t] + (1 - lam) * other[t])
        elif t < len(own):
            rows.append(own[t] * (lam if padding == "zero" else 1))
        else:
            rows.append(other[t] * ((1 - lam) if padding == "zero" else 1))
    return torch.stack(rows)


def reference_logits(
    model: PreTrainedModel, rows: list[Tensor], lam: list[float], partner: list[int], site: str, padding: str
) -> Tensor:
    """Compute the logits of mixed rows, each pair on its own."""
    parts = Reference(model)
    blocks = parts.blocks()
    number = {"embeddings": 0, "pooled": len(blocks)}.get(site)
    before = int(site.split(":")[1]) if number is None else number

    def up_to_site(ids: Tensor) -> Tensor:
        hidden = parts.embed(ids)
        for block in blocks[:before]:
            output = block(hidden[None])
            hidden = (output[0] if isinstance(output, tuple) else output)[0]
        return hidden

    logits = []
    for i, ids in enumerate(rows):
        own, other = up_to_site(ids), up_to_site(rows[partner[i]])
        if site == "pooled":
            pooled = lam[i] * parts.pool(own) + (1 - lam[i]) * parts.pool(other)
        else:
            hidden = blend_rows(own, other, lam[i], padding)
            for block in blocks[before:]:
                output = block(hidden[None])
                hidden = (output[0] if isinstance(output, tuple) else output)[0]
            pooled = parts.pool(hidden)
        logits.append(parts.classify(pooled))
    return torch.stack(logits)
