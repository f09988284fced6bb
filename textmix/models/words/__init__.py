"""Models of words: a vocabulary trained on the training texts, word vectors, and what reads them."""
