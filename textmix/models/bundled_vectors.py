"""The word vectors that the package wordllama ships, read from its files."""

import numpy as np
from safetensors.numpy import load_file
from tokenizers import Tokenizer

from textmix.errors import ModelError
from textmix.models.vocabulary import SPECIAL_TOKENS
from textmix.packages import package_directory

_WEIGHTS, _TENSOR = "weights/l2_supercat_256.safetensors", "embedding.weight"
_TOKENIZER = "tokenizers/l2_supercat_tokenizer_config.json"
# Standard deviation of a uniform distribution on [-0.25, 0.25], the random vectors of Kim 2014.
_DEVIATION = 0.25 / 3**0.5


def bundled_vectors(vocabulary: dict[str, int]) -> dict[int, np.ndarray]:
    """Look up vectors for the words of a vocabulary.

    The package has a vector of width 256 for each of the 32 000 tokens of Llama 2. As in the package itself, the vector
    of a word is the mean of those of its tokens, so that every word has one. The table is scaled to the variance
    of random vectors.

    Args:
        vocabulary: Word to id.

    Returns:
        Id to vector, shape (256,), float32; not for special tokens.

    Raises:
        TextmixError: If the package is not installed.
        ModelError: If it has other files than those expected.
    """
    directory = package_directory("wordllama", "wordllama")
    try:
        table = load_file(directory / _WEIGHTS)[_TENSOR].astype(np.float32)
        tokenizer = Tokenizer.from_file(str(directory / _TOKENIZER))
    except Exception as error:  # tokenizers raises bare ones
        raise ModelError(
            f"cannot read the vectors of wordllama ({error}); reinstall it with: pip install --force-reinstall"
            " 'textmix[bundled]'"
        ) from error
    table *= _DEVIATION / table.std()
    words = [word for word in vocabulary if word not in SPECIAL_TOKENS]
    pieces = tokenizer.encode_batch(words, add_special_tokens=False)
    return {vocabulary[word]: table[encoding.ids].mean(axis=0) for word, encoding in zip(words, pieces, strict=True)}
