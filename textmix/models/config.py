"""ModelConfig: which model, and how it is built. Imports no torch, so that `--help` stays fast."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from textmix.errors import ConfigError

# In place of the path of a file of word vectors.
BUNDLED_VECTORS = "bundled"


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
        vectors: Null means random ones. `bundled` takes those that ship as a package. Else a file in word2vec or GloVe
            text format, or word2vec binary format (`.bin`), also with `.gz` behind its name. Both need the extra
            `vectors`.
        initializer_range: Random vectors are uniform in ± this. Default: 0.25, which gives them about the variance of
            the word2vec ones (Kim 2014, section 3.2).
        static: Keep the word vectors fixed instead of tuning them.
    """

    tokenizer: Literal["word", "wordpiece", "bpe"] = "word"
    vocab_size: int = 30_000
    min_frequency: int = 2
    lowercase: bool = True
    embedding_dim: int | None = None
    vectors: str | None = None
    initializer_range: float = 0.25
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


@dataclass(frozen=True)
class TextRNNOptions:
    """How a TextRNN is built; these have an effect only with `model.name: textrnn`.

    Args:
        lstm_units: Width of the hidden state of each direction. Default: 150, which makes both together as wide as the
            word vectors of Kim 2014.
        num_hidden_layers: Bidirectional LSTMs on each other; each is a site. Default: 1.
    """

    lstm_units: int = 150
    num_hidden_layers: int = 1


@dataclass(frozen=True)
class FastTextOptions:
    """How a FastText is built; these have an effect only with `model.name: fasttext`.

    Args:
        ngrams: Longest n-grams that have vectors beside the words; 1 means none, 2 is what Joulin et al. 2017 found to
            help in sentiment analysis.
        buckets: Number of vectors that all n-grams share by their hash.
    """

    ngrams: int = 1
    buckets: int = 50_000


# The models of words, each with a section of options of its own, and a line for `textmix models`.
WORD_MODELS = {
    "textcnn": "TextCNN: convolutions over word vectors, max over time (Kim 2014)",
    "textrnn": "TextRNN: bidirectional LSTM over word vectors, max over time (Conneau et al. 2017)",
    "fasttext": "FastText: mean of the vectors of words, and n-grams if asked (Joulin et al. 2017)",
}


@dataclass(frozen=True)
class ModelConfig:
    """Which model is trained.

    Args:
        name: A built-in name (`minilm`, `textcnn`, `textrnn`, `fasttext`; see `textmix models`), a hub id, or a
            directory.
        pooling: How positions become one vector: `cls`, `mean`, `max`, `attention`, `last`, or `auto` (what a
            sentence-transformers checkpoint declares, else the habit of the architecture).
        head: `linear` puts one linear map on the pooled vector; `native` is the architecture's own classification
            head, and the saved checkpoint is a stock one.
        dropout: Dropout on the pooled vector; null means the model's own default (encoders 0.1, TextCNN
            and TextRNN 0.5, FastText 0).
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
        textrnn: How a TextRNN is built.
        fasttext: How a FastText is built.
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
    textrnn: TextRNNOptions = field(default_factory=TextRNNOptions)
    fasttext: FastTextOptions = field(default_factory=FastTextOptions)

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
        if self.words.vectors == BUNDLED_VECTORS and self.words.tokenizer != "word":
            yield "model.words.vectors bundled are vectors of words; leave model.words.tokenizer at word"
        if not of_words and self.words != WordOptions():
            yield f"model.words {beside}; leave it out"
        for name in WORD_MODELS:
            options = getattr(self, name)
            if self.name != name and options != type(options)():
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
            "textrnn.lstm_units": self.textrnn.lstm_units,
            "textrnn.num_hidden_layers": self.textrnn.num_hidden_layers,
            "fasttext.ngrams": self.fasttext.ngrams,
            "fasttext.buckets": self.fasttext.buckets,
        }
        for name, count in counts.items():
            if count is not None and count < 1:
                yield f"model.{name} must be at least 1, not {count}"
        if not 0 < self.words.initializer_range < float("inf"):
            yield f"model.words.initializer_range must be a number above 0, not {self.words.initializer_range}"
        if self.words.vocab_size < 10:
            yield f"model.words.vocab_size must be at least 10, not {self.words.vocab_size}"
        if not self.textcnn.kernel_sizes or min(self.textcnn.kernel_sizes) < 1:
            yield f"model.textcnn.kernel_sizes must be widths of at least 1, not {self.textcnn.kernel_sizes}"
