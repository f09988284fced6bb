"""Turn rows of text into rows of token ids."""

from typing import Any

from datasets import Dataset
from transformers import PreTrainedTokenizerBase

from textmix.data.rows import PAIR, TEXT


def special_ids(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """List the ids of a tokenizer's special tokens, which mixing never cuts; an unknown word is an ordinary token."""
    return sorted(set(tokenizer.all_special_ids) - {tokenizer.unk_token_id})


def tokenize(rows: Dataset, tokenizer: PreTrainedTokenizerBase, labels: list[int] | None = None) -> Dataset:
    """Tokenise the columns `text` and `text_pair`, cutting at `tokenizer.model_max_length`.

    Args:
        rows: Rows with `text` and perhaps `text_pair`.
        tokenizer: The model's tokenizer.
        labels: Class ids to put beside the tokens.

    Returns:
        A data set with the model's inputs and, if given, `labels`; the order of rows is kept.
    """

    def encode(batch: dict[str, list[str]]) -> dict[str, Any]:
        return dict(tokenizer(batch[TEXT], batch.get(PAIR), truncation=True))

    encoded = rows.map(encode, batched=True, remove_columns=rows.column_names, load_from_cache_file=False)
    return encoded if labels is None else encoded.add_column("labels", labels)
