"""ModelConfig: the model and how it is built. Imports no torch, so that `--help` stays fast."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from textmix.errors import ConfigError

# Replaces the path of a file of word vectors.
BUNDLED_VECTORS = "bundled"


@dataclass(frozen=True)
class WordOptions:
    """The vocabulary and the word vectors of a word model. No effect with other models.

    Args:
        tokenizer: Type of the vocabulary, which is trained on the training texts: `word`, `wordpiece` or `bpe` (byte
            level).
        vocab_size: Maximum size of the vocabulary. Default: 30000, about BERT's.
        min_frequency: Minimum number of occurrences of a token in the vocabulary. Default: 2, so that words that occur
            once train the vector of unknown words.
        lowercase: Lower-case all text (`word` and `wordpiece`). Default: true, as in the code of Kim 2014.
        embedding_dim: Size of the word vectors. Null means the size of the given vectors, or 300 (Kim 2014) for random
            vectors.
        vectors: Initial word vectors: null (random), `bundled` (from the installed package), or a file in word2vec or
            GloVe text format or in word2vec binary format (`.bin`), optionally compressed (`.gz`). `bundled` and files
            need the extra `vectors`.
        initializer_range: Random vectors are uniform in ± this. Default: 0.25, about the variance of the word2vec
            vectors (Kim 2014, section 3.2).
        static: Do not train the word vectors.
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
    """Options of a TextCNN. No effect with other models.

    Args:
        num_filters: Number of feature maps for each kernel size. Default: 100 (Kim 2014).
        kernel_sizes: Sizes of the convolution kernels in tokens. Default: 3, 4, 5 (Kim 2014).
    """

    num_filters: int = 100
    kernel_sizes: list[int] = field(default_factory=lambda: [3, 4, 5])


@dataclass(frozen=True)
class TextRNNOptions:
    """Options of a TextRNN. No effect with other models.

    Args:
        lstm_units: Size of the hidden state of each direction. Default: 150, so that both together have the size of the
            word vectors of Kim 2014.
        num_hidden_layers: Number of stacked bidirectional LSTMs; each is a site. Default: 1.
    """

    lstm_units: int = 150
    num_hidden_layers: int = 1


@dataclass(frozen=True)
class FastTextOptions:
    """Options of a FastText. No effect with other models.

    Args:
        ngrams: Maximum length of the n-grams that have vectors; 1 means words only, 2 helped in sentiment analysis
            (Joulin et al. 2017).
        buckets: Number of n-gram vectors, which n-grams share by their hash.
    """

    ngrams: int = 1
    buckets: int = 50_000


@dataclass(frozen=True)
class LoraOptions:
    """Low-rank adapters (LoRA, Hu et al. 2021): the encoder is frozen, and adapters on its linear maps are trained.

    They need the extra `lora`. The head is trained, too.

    Args:
        rank: Rank of the adapters; null means none. 8 is the rank of Hu et al. 2021 for RoBERTa (appendix D).
        alpha: An adapter is scaled by alpha / rank. Null means twice the rank, as in the code of Hu et al. 2021 for
            RoBERTa base.
        dropout: Dropout on the inputs of the adapters, in addition to the encoder's own. Default: 0, as in peft.
        targets: Linear maps of the encoder that get adapters: names, or ends of them, such as `[query, value]` for
            BERT. Null means all linear maps of the blocks, which Dettmers et al. 2023 found to be needed to reach full
            fine-tuning.
    """

    rank: int | None = None
    alpha: float | None = None
    dropout: float = 0.0
    targets: list[str] | None = None


# The word models, each with its own section of options, and a line for `textmix models`.
WORD_MODELS = {
    "textcnn": "TextCNN: convolutions over word vectors, max over time (Kim 2014)",
    "textrnn": "TextRNN: bidirectional LSTM over word vectors, max over time (Conneau et al. 2017)",
    "fasttext": "FastText: mean of the vectors of words and optional n-grams (Joulin et al. 2017)",
}


@dataclass(frozen=True)
class ModelConfig:
    """The model to train.

    Args:
        name: A built-in name (`minilm`, `textcnn`, `textrnn`, `fasttext`; see `textmix models`), a hub id, or a
            directory.
        pooling: How hidden states are pooled into one vector: `cls`, `mean`, `max`, `attention`, `last`, or `auto` (as
            a sentence-transformers checkpoint declares, else the usual pooling of the architecture).
        normalize: Divide sentence vectors by their length, so that the linear layer sees directions alone. For encoders
            with a `linear` head.
        head: `linear` is one linear layer on the pooled vector. `native` is the classification head that transformers
            has for the architecture; transformers loads the saved checkpoint without textmix.
        dropout: Dropout on the pooled vector; null means the default of the model (encoders 0.1, TextCNN and TextRNN
            0.5, FastText 0).
        encoder_dropout: Dropout inside a pretrained encoder; null keeps the checkpoint's (0.1 for most). Training is
            faster with 0: no masks are drawn, and attention on a CPU uses the fused kernel.
        freeze: Number of the lowest blocks of an encoder to freeze together with its embeddings; 0 trains everything.
            The upper blocks bring most of the gain of fine-tuning (Lee, Tang and Lin 2019), and steps are shorter.
            `encoder` freezes the whole encoder: sentence vectors are computed once, and only the head is trained.
        trust_remote_code: Run the Python code of a checkpoint with a custom architecture; it can do anything that you
            can. Only the command line can set it, not a file. It needs `head: native`.
        max_length: Maximum length of an input in tokens; longer inputs are cut. Null means the length that the
            checkpoint declares, at most 512.
        long_text: What is kept of longer inputs: `truncate` keeps their begin, `head_tail` a quarter of the length from
            their begin and three quarters from their end (Sun et al. 2019). `windows` reads them whole, in windows of
            `max_length` of which each repeats a quarter of the one before, and averages their logits; it mixes sentence
            vectors only, and trains on at most 8 windows of a text. Neither is for pairs and tokens.
        words: The vocabulary and the word vectors of a word model.
        textcnn: Options of a TextCNN.
        textrnn: Options of a TextRNN.
        fasttext: Options of a FastText.
        lora: Low-rank adapters on a frozen encoder.
    """

    name: str = "minilm"
    pooling: Literal["auto", "cls", "mean", "max", "attention", "last"] = "auto"
    normalize: bool = False
    head: Literal["linear", "native"] = "linear"
    dropout: float | None = None
    encoder_dropout: float | None = None
    freeze: int | Literal["encoder"] = 0
    trust_remote_code: bool = False
    max_length: int | None = None
    long_text: Literal["truncate", "head_tail", "windows"] = "truncate"
    words: WordOptions = field(default_factory=WordOptions)
    textcnn: TextCNNOptions = field(default_factory=TextCNNOptions)
    textrnn: TextRNNOptions = field(default_factory=TextRNNOptions)
    fasttext: FastTextOptions = field(default_factory=FastTextOptions)
    lora: LoraOptions = field(default_factory=LoraOptions)

    def __post_init__(self) -> None:
        """Check every field and report all errors at once.

        Raises:
            ConfigError: If a value is out of range or an option has no effect.
        """
        wrong = [*self._without_effect(), *self._out_of_range()]
        if self.trust_remote_code and self.head != "native":
            wrong.append("model.trust_remote_code needs model.head native, which saves the code with the model")
        if self.freeze == "encoder" and (self.head == "native" or self.pooling == "attention"):
            wrong.append("model.freeze encoder needs model.head linear and a pooling without weights")
        if self.long_text == "windows" and self.head == "native":
            wrong.append("model.long_text windows needs model.head linear: logits are averaged before its linear map")
        if wrong:
            raise ConfigError("; ".join(wrong))

    def _without_effect(self) -> Iterator[str]:
        of_words = self.name in WORD_MODELS
        beside = f"has no effect with model.name {self.name}"
        if of_words and (self.pooling != "auto" or self.head != "linear"):
            yield f"model.pooling and model.head have no effect with model.name {self.name}; leave them out"
        elif self.head == "native" and self.pooling != "auto":
            yield "model.pooling has no effect with model.head native; leave it at auto"
        if self.normalize and (of_words or self.head == "native"):
            which = f"model.name {self.name}" if of_words else "model.head native"
            yield f"model.normalize has no effect with {which}; leave it out"
        if self.head == "native" and self.dropout is not None:
            yield "model.dropout has no effect with model.head native; leave it out"
        if of_words and self.encoder_dropout is not None:
            yield f"model.encoder_dropout {beside}; leave it out"
        if of_words and self.freeze:
            yield f"model.freeze {beside}; model.words.static freezes its word vectors"
        if self.words.vectors == BUNDLED_VECTORS and self.words.tokenizer != "word":
            yield "model.words.vectors bundled needs model.words.tokenizer word"
        if not of_words and self.words != WordOptions():
            yield f"model.words {beside}; leave it out"
        if self.lora.rank is None:
            idle = [
                f"model.lora.{name}" for name, value in vars(self.lora).items() if value != vars(LoraOptions())[name]
            ]
            if idle:
                yield f"without model.lora.rank there is no effect of {', '.join(idle)}; set the rank, to 8 for example"
        elif of_words:
            yield f"model.lora {beside}; leave it out"
        elif self.freeze:
            yield "model.freeze has no effect with model.lora, which freezes the whole encoder; leave one of them out"
        for name in WORD_MODELS:
            options = getattr(self, name)
            if self.name != name and options != type(options)():
                yield f"model.{name} {beside}; leave it out"

    def _out_of_range(self) -> Iterator[str]:
        rates = {"dropout": self.dropout, "encoder_dropout": self.encoder_dropout, "lora.dropout": self.lora.dropout}
        for name, rate in rates.items():
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
            "lora.rank": self.lora.rank,
        }
        for name, count in counts.items():
            if count is not None and count < 1:
                yield f"model.{name} must be at least 1, not {count}"
        if not 0 < self.words.initializer_range < float("inf"):
            yield f"model.words.initializer_range must be a number above 0, not {self.words.initializer_range}"
        if self.words.vocab_size < 10:
            yield f"model.words.vocab_size must be at least 10, not {self.words.vocab_size}"
        if not self.textcnn.kernel_sizes or min(self.textcnn.kernel_sizes) < 1:
            yield f"model.textcnn.kernel_sizes must be sizes of at least 1, not {self.textcnn.kernel_sizes}"
        if self.lora.alpha is not None and not 0 < self.lora.alpha < float("inf"):
            yield f"model.lora.alpha must be a number above 0, not {self.lora.alpha}"
        if self.lora.targets == []:
            yield "model.lora.targets must name a linear map; null means all of the blocks"
