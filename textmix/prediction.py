"""Predict probabilities for texts with a loaded model."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase


def predict_logits(
    model: nn.Module,
    batches: Iterable[dict[str, Tensor]],
    gather: Callable[[Tensor], Tensor] = lambda logits: logits,
) -> Tensor:
    """Run a model over batches in eval mode, and put it back into the mode it was in.

    Args:
        model: A classifier.
        batches: Its inputs; `labels` among them are left out.
        gather: Collects the logits of all processes.

    Returns:
        Logits of all rows, shape (N, C), float32, on the CPU.
    """
    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            logits = [
                gather(model(**{name: value for name, value in batch.items() if name != "labels"}).logits).float().cpu()
                for batch in batches
            ]
    finally:
        model.train(was_training)
    return torch.cat(logits)


class Predictor:
    """Predicts class probabilities for texts.

    Args:
        model: A sequence classifier.
        tokenizer: Its tokenizer; inputs are cut at its `model_max_length`.
        batch_size: Rows of a batch.

    Attributes:
        class_names: Names of the classes, in the order of the columns of the result.
    """

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, batch_size: int = 64) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.batch_size = batch_size
        names: dict[int, str] = model.config.id2label  # type: ignore[assignment]  # int keys once loaded
        self.class_names = [names[number] for number in range(len(names))]

    def __call__(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> npt.NDArray[np.float64]:
        """Predict.

        Args:
            texts: N texts.
            pairs: Their second sentences, if the model was trained on pairs.

        Returns:
            Probabilities, shape (N, C), rows in the order of the texts.
        """
        if not len(texts):
            return np.zeros((0, len(self.class_names)))
        # Texts of like length share a batch, so that little of it is padding.
        order = sorted(range(len(texts)), key=lambda number: -len(texts[number]))
        logits = predict_logits(self.model, self._batches(texts, pairs, order))
        probabilities = torch.empty(logits.shape, dtype=torch.float64)
        probabilities[order] = logits.double().softmax(dim=-1)
        return probabilities.numpy()

    def _batches(
        self, texts: Sequence[str], pairs: Sequence[str] | None, order: list[int]
    ) -> Iterable[dict[str, Tensor]]:
        for start in range(0, len(order), self.batch_size):
            rows = order[start : start + self.batch_size]
            encoded = self.tokenizer(
                [texts[number] for number in rows],
                [pairs[number] for number in rows] if pairs is not None else None,
                truncation=True,
                padding=True,
                return_tensors="pt",
            )
            yield {name: value.to(self.model.device) for name, value in encoded.items()}
