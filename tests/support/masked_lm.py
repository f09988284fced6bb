"""A tiny BERT with a tokenizer of word pieces that knows masks."""

from pathlib import Path

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertForMaskedLM, BertModel, PreTrainedTokenizerFast

from tests.support.topics import TOPICS

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
PAD, UNK, CLS, SEP, MASK = range(5)
FILLERS = ["the", "a", "of", "with", "and", "new", "some", "very"]
VOCABULARY = [*SPECIAL, *FILLERS, *(word for words in TOPICS.values() for word in words), "un", "##believ", "##able"]
# Three tokens.
LONG_WORD = "unbelievable"


def piece_tokenizer(max_length: int = 16) -> PreTrainedTokenizerFast:
    """Make the tokenizer; words that it does not know, such as numbers, are `[UNK]`."""
    vocabulary = {token: number for number, token in enumerate(VOCABULARY)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", SEP), ("[CLS]", CLS))
    names = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")
    special = dict(zip(names, SPECIAL, strict=True))
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=max_length, **special)


def small_config() -> BertConfig:
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    none = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    return BertConfig(vocab_size=len(VOCABULARY), max_position_embeddings=64, pad_token_id=PAD, **sizes, **none)


def masked_bert() -> BertForMaskedLM:
    torch.manual_seed(0)
    return BertForMaskedLM(small_config())


def save_encoder_in(directory: Path) -> Path:
    """Save a BERT without a head for masked tokens, and its tokenizer."""
    torch.manual_seed(0)
    BertModel(small_config()).save_pretrained(directory)
    piece_tokenizer().save_pretrained(directory)
    return directory
