"""Word vectors from files, read with gensim (the extra `vectors`)."""

from pathlib import Path

import numpy as np

from textmix.errors import ModelError


def read_vectors(path: str, vocabulary: dict[str, int]) -> dict[int, np.ndarray]:
    """Read the vectors of the words of a vocabulary.

    Args:
        path: word2vec text (with its header line), GloVe text (without one), or word2vec binary (`.bin`).
        vocabulary: Token to id.

    Returns:
        Token id to vector, for the tokens that the file has.

    Raises:
        ModelError: If gensim is not installed, or the file is missing, is no vector file, or has none of the words.
    """
    try:
        from gensim.models import KeyedVectors
    except ImportError:
        raise ModelError("reading word vectors needs gensim; install it with: pip install 'textmix[vectors]'") from None
    if not Path(path).is_file():
        raise ModelError(f"no file of word vectors at {path} (model.words.vectors)")
    binary = path.endswith(".bin")
    try:
        keyed = KeyedVectors.load_word2vec_format(path, binary=binary, no_header=not binary and not _has_header(path))
    except (ValueError, EOFError, IndexError, UnicodeDecodeError) as error:
        raise ModelError(f"{path} is not a file of word vectors: {error}") from error
    found = {token_id: np.array(keyed[word]) for word, token_id in vocabulary.items() if word in keyed}
    if not found:
        raise ModelError(f"{path} has a vector for none of the {len(vocabulary)} words of the vocabulary")
    return found


def _has_header(path: str) -> bool:
    with Path(path).open(encoding="utf-8", errors="replace") as file:
        fields = file.readline().split()
    return len(fields) == 2 and all(field.isdigit() for field in fields)
