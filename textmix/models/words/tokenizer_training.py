"""Train the tokenizer of a word model on the training texts, with the tokenizers library."""

from collections.abc import Iterable
from typing import Any, Literal

from tokenizers import Tokenizer, decoders, normalizers, pre_tokenizers, processors, trainers
from tokenizers.models import BPE, WordLevel, WordPiece
from transformers import PreTrainedTokenizerFast

PAD, UNKNOWN, SEPARATOR = "[PAD]", "[UNK]", "[SEP]"
SPECIAL_TOKENS = [PAD, UNKNOWN, SEPARATOR]


def train_tokenizer(
    texts: Iterable[str],
    kind: Literal["word", "wordpiece", "bpe"] = "word",
    vocab_size: int = 30_000,
    min_frequency: int = 2,
    lowercase: bool = True,
) -> PreTrainedTokenizerFast:
    """Train a vocabulary.

    Args:
        texts: The training texts. Validation and test texts would leak into the vocabulary. `wordpiece` reads them
            twice, so an iterator does not work.
        kind: `word` (words and punctuation marks), `wordpiece`, or `bpe` (byte level, no unknown tokens).
        vocab_size: Maximum size of the vocabulary.
        min_frequency: Minimum number of occurrences of a token in the vocabulary.
        lowercase: Lower-case all text; no effect on `bpe`.

    Returns:
        A tokenizer that adds no special tokens to one text and a separator between two.
    """
    tokenizer = _byte_level() if kind == "bpe" else _of_words(kind, lowercase)
    trainer = _trainer(kind, tokenizer, texts, vocab_size=vocab_size, min_frequency=min_frequency, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    if kind == "wordpiece":
        tokenizer = _without_added_tokens(tokenizer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A", pair=f"$A {SEPARATOR} $B", special_tokens=[(SEPARATOR, SPECIAL_TOKENS.index(SEPARATOR))]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        unk_token=UNKNOWN,
        sep_token=SEPARATOR,
        model_input_names=["input_ids", "attention_mask"],
        add_prefix_space=kind == "bpe",  # transformers 4.57 would set it to False
    )


def _byte_level() -> Tokenizer:
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def _of_words(kind: Literal["word", "wordpiece"], lowercase: bool) -> Tokenizer:
    tokenizer = Tokenizer(WordLevel(unk_token=UNKNOWN) if kind == "word" else WordPiece(unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), *([normalizers.Lowercase()] if lowercase else [])])
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    if kind == "wordpiece":
        tokenizer.decoder = decoders.WordPiece()
    return tokenizer


def _trainer(kind: str, tokenizer: Tokenizer, texts: Iterable[str], **options: Any) -> trainers.Trainer:
    if kind == "bpe":
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        return trainers.BpeTrainer(special_tokens=SPECIAL_TOKENS, initial_alphabet=alphabet, **options)
    if kind == "word":
        return trainers.WordLevelTrainer(special_tokens=SPECIAL_TOKENS, **options)
    return trainers.WordPieceTrainer(special_tokens=SPECIAL_TOKENS + _continuations(tokenizer, texts), **options)


def _continuations(tokenizer: Tokenizer, texts: Iterable[str]) -> list[str]:
    """Return the characters inside words as WordPiece's continuation tokens, sorted.

    WordPieceTrainer numbers them in the order of a hash map and breaks ties by number, so the same texts can give
    different vocabularies (tokenizers issue 1794). Given as special tokens they keep their order.
    """
    inside: set[str] = set()
    for text in texts:
        words = tokenizer.pre_tokenizer.pre_tokenize_str(tokenizer.normalizer.normalize_str(text))
        inside.update(character for word, _ in words for character in word[1:])
    return [f"##{character}" for character in sorted(inside)]


def _without_added_tokens(trained: Tokenizer) -> Tokenizer:
    """Rebuild a WordPiece tokenizer in which only `SPECIAL_TOKENS` are special."""
    rebuilt = Tokenizer(WordPiece(trained.get_vocab(), unk_token=UNKNOWN))
    rebuilt.normalizer, rebuilt.pre_tokenizer = trained.normalizer, trained.pre_tokenizer
    rebuilt.decoder = trained.decoder
    rebuilt.add_special_tokens(SPECIAL_TOKENS)
    return rebuilt
