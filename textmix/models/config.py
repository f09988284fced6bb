"""ModelConfig: which model, and how it is built. Imports no torch, so that `--help` stays fast."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from textmix.errors import ConfigError


@dataclass(frozen=True)
class WordOptions:
    """The vocabulary and the word vectors of a model of words; these have an effect only with one of `WORD_MODELS`.

    Args:
        tokenizer: How the vocabulary is trained on the training texts: `word`, `wordpiece` or `bpe` (byte level).
        vocab_size: Most entries the vocabulary may have. Default: 30000, about BERT's.
        min_frequency: Occurrences that put a token into the vocabulary. Default: 2, so that the words seen once train
            the vector of unknown words.
        lowercase: Lower-case all text (`word` and `wordpiece`). Default: true, as in the code of Kim 2014.
        embedding_dim: Width of the word vectors. Null means that of the vectors given; random ones have 300 (Kim 2014).
        vectors: File of word vectors in word2vec or GloVe text format, or word2vec binary format (`.bin`); null means
            random ones. Needs the extra `vectors`.
        static: Keep the word vectors fixed instead of tuning them.
    """

    tokenizer: Literal["word", "wordpiece", "bpe"] = "word"
    vocab_size: int = 30_000
    min_frequency: int = 2
    lowercase: bool = True
    embedding_dim: int | None = None
    vectors: str | None = None
    static: bool = False


@dataclass(frozen=True)
class TextCNNOptions:
    """How a TextCNN is built; these have an effect only with `model.name: textcnn`.

    Args:
        num_filters: Feature maps of each kernel size. Default: 100 (Kim 2014).
        kernel_sizes: Widths of the convolutions in tokens. Default: 3, 4, 5 (Kim 2014).
    """

    num_filters: int = 100
    kernel_sizes: list[int] = field(default_factory=lambda: [3, 4, 5])


# The models of words, each with the section of options that is its own.
_SECTIONS = {"textcnn": TextCNNOptions}
WORD_MODELS = tuple(_SECTIONS)


@dataclass(frozen=True)
class ModelConfig:
    """Which model is trained.

    Args:
        name: A built-in name (`minilm`, `textcnn`; see `textmix models`), a hub id, or a directory.
        pooling: How positions become one vector: `cls`, `mean`, `max`, `attention`, `last`, or `auto` (what a
            sentence-transformers checkpoint declares, else the habit of the architecture).
        head: `linear` puts one linear map on the pooled vector; `native` is the architecture's own classification
            head, and the saved checkpoint is a stock one.
        dropout: Dropout on the pooled vector; null means the model's own default (encoders 0.1, TextCNN 0.5).
        encoder_dropout: Dropout inside a pretrained encoder; null means the checkpoint's own (0.1 for most). With
            0 training is faster: no masks are drawn, and attention on a CPU takes the fused kernel.
        freeze: Keep the embeddings and so many of the lowest blocks of an encoder as they are; 0 trains all. Most of
            what fine-tuning gains comes from the upper blocks (Lee, Tang and Lin 2019), and steps get shorter.
            `encoder` keeps all of it: its sentence vectors are made once, and only the head is trained on them.
        trust_remote_code: Run the Python code that comes with a checkpoint of an architecture of its own; it can do all
            that you can. Only the command line can ask for it, no file, and only with `head: native`.
        max_length: Longest input in tokens; longer ones are cut. Null means what the checkpoint declares, at most 512.
        words: The vocabulary and the word vectors of a model of words.
        textcnn: How a TextCNN is built.
    """

    name: str = "minilm"
    pooling: Literal["auto", "cls", "mean", "max", "attention", "last"] = "auto"
    head: Literal["linear", "native"] = "linear"
    dropout: float | None = None
    encoder_dropout: float | None = None
    freeze: int | Literal["encoder"] = 0
    trust_remote_code: bool = False
    max_length: int | None = None
    words: WordOptions = field(default_factory=WordOptions)
    textcnn: TextCNNOptions = field(default_factory=TextCNNOptions)

    def __post_init__(self) -> None:
        """Check every field and report all that is wrong at once.

        Raises:
            ConfigError: If a value is out of its range or an option has no effect beside the others.
        """
        wrong = [*self._without_effect(), *self._out_of_range()]
        if self.trust_remote_code and self.head != "native":
            wrong.append(
                "model.trust_remote_code needs model.head native: what is saved must hold the model's own code"
            )
        if self.freeze == "encoder" and (self.head == "native" or self.pooling == "attention"):
            wrong.append("model.freeze encoder needs the linear head and a pooling without weights of its own")
        if wrong:
            raise ConfigError("; ".join(wrong))

    def _without_effect(self) -> Iterator[str]:
        of_words = self.name in WORD_MODELS
        beside = f"has no effect with model.name {self.name}"
        if of_words and (self.pooling != "auto" or self.head != "linear"):
            yield f"model.pooling and model.head have no effect with model.name {self.name}; leave them out"
        elif self.head == "native" and self.pooling != "auto":
            yield "model.pooling has no effect with model.head native; leave it at auto"
        if self.head == "native" and self.dropout is not None:
            yield "model.dropout has no effect with model.head native; leave it out"
        if of_words and self.encoder_dropout is not None:
            yield f"model.encoder_dropout {beside}; leave it out"
        if of_words and self.freeze:
            yield f"model.freeze {beside}; model.words.static keeps its vectors"
        if not of_words and self.words != WordOptions():
            yield f"model.words {beside}; leave it out"
        for name in WORD_MODELS:
            if self.name != name and getattr(self, name) != _SECTIONS[name]():
                yield f"model.{name} {beside}; leave it out"

    def _out_of_range(self) -> Iterator[str]:
        for name in ("dropout", "encoder_dropout"):
            rate = getattr(self, name)
            if rate is not None and not 0 <= rate < 1:
                yield f"model.{name} must lie in [0, 1), not {rate}"
        if isinstance(self.freeze, int) and self.freeze < 0:
            yield f"model.freeze must not be below 0, but is {self.freeze}"
        counts = {
            "max_length": self.max_length,
            "words.min_frequency": self.words.min_frequency,
            "words.embedding_dim": self.words.embedding_dim,
            "textcnn.num_filters": self.textcnn.num_filters,
        }
        for name, count in counts.items():
            if count is not None and count < 1:
                yield f"model.{name} must be at least 1, not {count}"
        if self.words.vocab_size < 10:
            yield f"model.words.vocab_size must be at least 10, not {self.words.vocab_size}"
        if not self.textcnn.kernel_sizes or min(self.textcnn.kernel_sizes) < 1:
            yield f"model.textcnn.kernel_sizes must be widths of at least 1, not {self.textcnn.kernel_sizes}"
