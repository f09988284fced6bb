"""Read word vectors from the bundled package or, with gensim, from a file; both need the extra `vectors`."""

import gzip
from pathlib import Path

import numpy as np

from textmix.errors import ModelError
from textmix.models.config import BUNDLED_VECTORS
from textmix.models.words.bundled_vectors import bundled_vectors
from textmix.models.words.tokenizer_training import SPECIAL_TOKENS


def read_vectors(source: str, vocabulary: dict[str, int]) -> dict[int, np.ndarray]:
    """Look up the vectors of the words of a vocabulary.

    Special tokens get no vector: the `[UNK]` of a file stands for other words.

    Args:
        source: `bundled`, or a file: word2vec text (with its header line), GloVe text (without one), or word2vec binary
            (`.bin`), also compressed (`.gz`).
        vocabulary: Maps each token to its id.

    Returns:
        Maps token ids to vectors, for the tokens that have one.

    Raises:
        ModelError: If gensim is not installed, or the file is missing, is not a vector file, or has none of the words.
        TextmixError: If the package of the bundled vectors is not installed.
    """
    words = {word: number for word, number in vocabulary.items() if word not in SPECIAL_TOKENS}
    if source == BUNDLED_VECTORS:
        return bundled_vectors(words)
    try:
        from gensim.models import KeyedVectors
    except ImportError:
        raise ModelError("reading word vectors needs gensim; install it with: pip install 'textmix[vectors]'") from None
    if not Path(source).is_file():
        raise ModelError(f"no file of word vectors at {source} (model.words.vectors)")
    binary = source.removesuffix(".gz").endswith(".bin")
    try:
        headless = not binary and not _has_header(source)
        keyed = KeyedVectors.load_word2vec_format(source, binary=binary, no_header=headless)
    except (ValueError, EOFError, IndexError, OSError) as error:
        raise ModelError(f"{source} is not a file of word vectors: {error}") from error
    found = {token_id: np.array(keyed[word]) for word, token_id in words.items() if word in keyed}
    broken = [word for word, token_id in words.items() if token_id in found and not np.isfinite(found[token_id]).all()]
    if broken:
        raise ModelError(f"{source} is damaged: the vector of '{broken[0]}' holds numbers that are not finite")
    if not found:
        raise ModelError(f"{source} has no vector for any of the {len(words)} words of the vocabulary")
    return found


def _has_header(path: str) -> bool:
    opened = gzip.open if path.endswith(".gz") else open
    with opened(path, mode="rt", encoding="utf-8", errors="replace") as file:
        fields = file.readline().split()
    return len(fields) == 2 and all(field.isdigit() for field in fields)
