"""The special tokens of a tokenizer, which mixing never cuts."""

from transformers import PreTrainedTokenizerBase


def special_ids(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Return the ids of a tokenizer's special tokens; the unknown token is an ordinary one."""
    return sorted(set(tokenizer.all_special_ids) - {tokenizer.unk_token_id})
