"""Run a model over texts: the longest first, in batches of like length, rows back in order."""

from collections.abc import Callable, Iterable, Iterator, Sequence

import torch
from torch import Tensor, nn
from transformers import DataCollatorWithPadding, PreTrainedTokenizerBase

# Texts tokenised at once; what the tokenizer returns takes many times the memory of the ids in it.
_TOKENIZED_AT_ONCE = 1024


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
            # Brought to the CPU all at once, so that a GPU need not wait after each batch.
            logits = [
                gather(model(**{name: value for name, value in batch.items() if name != "labels"}).logits).float()
                for batch in batches
            ]
            return torch.cat(logits).cpu()
    finally:
        model.train(was_training)


def text_logits(
    model: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[str],
    pairs: Sequence[str] | None,
    batch_size: int,
    progress: Callable[[int], object] = lambda rows: None,
) -> Tensor:
    """Run a model over texts.

    Args:
        model: A classifier with a `device`.
        tokenizer: Its tokenizer; inputs are cut at its `model_max_length`.
        texts: N texts, at least one.
        pairs: Their second sentences, if the model was trained on pairs.
        batch_size: Most rows of a batch.
        progress: Called with the number of rows after each batch.

    Returns:
        Logits, shape (N, C), float32, on the CPU, rows in the order of the texts.
    """
    rows = _tokenize(tokenizer, texts, pairs)
    # Rows of like length share a batch, so that next to nothing of it is padding. The longest come first: what they
    # need of memory shows at once, and what they leave fits the others.
    order = sorted(range(len(rows)), key=lambda number: -len(rows[number]["input_ids"]))
    collate = DataCollatorWithPadding(tokenizer)

    def batches() -> Iterator[dict[str, Tensor]]:
        for start in range(0, len(order), batch_size):
            batch = collate([rows[number] for number in order[start : start + batch_size]])
            yield {name: value.to(model.device) for name, value in batch.items()}
            progress(len(order[start : start + batch_size]))

    sorted_logits = predict_logits(model, batches())
    logits = torch.empty_like(sorted_logits)
    logits[order] = sorted_logits
    return logits


def _tokenize(
    tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], pairs: Sequence[str] | None
) -> list[dict[str, list[int]]]:
    rows: list[dict[str, list[int]]] = []
    for start in range(0, len(texts), _TOKENIZED_AT_ONCE):
        piece = slice(start, start + _TOKENIZED_AT_ONCE)
        encoded = tokenizer(list(texts[piece]), list(pairs[piece]) if pairs is not None else None, truncation=True)
        rows += [dict(zip(encoded, values, strict=True)) for values in zip(*encoded.values(), strict=True)]
    return rows
