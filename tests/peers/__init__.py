"""The common model tests of transformers, run over the models of textmix: `make peers`."""
