"""Word models: classifiers over word vectors, with a vocabulary trained on the training texts."""
