"""Tiny random models of every family, and where a plain hook finds their sites: listed by hand, not searched for."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest
import torch
import transformers as hf
from packaging.version import Version
from torch import Tensor, nn

from tests.support.family_configs import (
    BERT_LIKE,
    DEBERTA,
    LAYERS,
    LLAMA_LIKE,
    T5_LIKE,
    VOCAB,
    bart,
    bart_like,
    bert_config,
    distilbert,
    esm,
    eurobert,
    funnel,
    gpt2,
    longformer,
    minimax,
    modernbert,
    t5,
    xlnet,
)
from textmix.models.encoder_config import MixupEncoderConfig
from textmix.models.sequence_classifier import MixupForSequenceClassification
from textmix.models.token_classifier import MixupForTokenClassification
from textmix.models.words.fasttext import FastText, FastTextConfig
from textmix.models.words.textcnn import TextCNN, TextCNNConfig
from textmix.models.words.textrnn import TextRNN, TextRNNConfig

LAYER_SITES = tuple(f"layer:{number}" for number in range(1, 2 * LAYERS + 1))
HIDDEN = ("embeddings", *LAYER_SITES[:LAYERS])
EVERY = ("tokens", *HIDDEN, "pooled")
BOTH = ("tokens", "embeddings", *LAYER_SITES, "pooled")  # of an encoder and its decoder
OUTER = ("tokens", "pooled")

SEQUENCE_LABELS = ("integer", "soft", "multi-label", "regression")
TOKEN_LABELS = ("tokens",)
LABELS = (*SEQUENCE_LABELS, *TOKEN_LABELS)


@dataclass(frozen=True)
class Head:
    """A classifier of a family.

    Args:
        build: Makes it from the number of labels and the problem type.
        classifier: Path of its last linear map.
        labels: Kinds of labels it takes.
        sites: Where it can be mixed.
    """

    build: Callable[[int, str | None], hf.PreTrainedModel]
    classifier: str
    labels: tuple[str, ...] = SEQUENCE_LABELS
    sites: tuple[str, ...] = EVERY


@dataclass(frozen=True)
class Family:
    """A family of models.

    Args:
        name: Its name in the table of docs/models.md.
        heads: Its classifiers.
        blocks: Path of the list of its blocks.
        decoder: Path of the list of the blocks of its decoder, if it reads the output of an encoder.
        embeddings: Path of the module whose output is the embeddings; None takes the input of the first block.
        calls: How often each block runs in one forward.
        batch: Dimension of the batch in its hidden states.
        pad: Id of the padding token.
        left: Whether texts are padded on the left, because that is all the family can do.
        exact: Whether a padded row gives what it gives alone; where it does not, the reference is padded too.
        ends: Whether each row must end in one end-of-sequence token.
        averages: Whether it averages the positions of a row behind its classifier.
        runs: Whether the installed transformers has it and runs it in float64.
    """

    name: str
    heads: tuple[Head, ...]
    blocks: str | None = None
    decoder: str | None = None
    embeddings: str | None = None
    calls: int = 1
    batch: int = 0
    pad: int = 0
    left: bool = False
    exact: bool = True
    ends: bool = False
    averages: bool = False
    runs: bool = True


def native(auto: Any, config: Callable[[], hf.PretrainedConfig]) -> Callable[[int, str | None], hf.PreTrainedModel]:
    def build(num_labels: int, problem_type: str | None) -> hf.PreTrainedModel:
        made = config()
        made.num_labels, made.problem_type = num_labels, problem_type
        return auto.from_config(made)

    return build


def own(
    architecture: type[hf.PreTrainedModel], config: Callable[[], hf.PretrainedConfig], pooling: str
) -> Callable[[int, str | None], hf.PreTrainedModel]:
    def build(num_labels: int, problem_type: str | None) -> hf.PreTrainedModel:
        return architecture(
            MixupEncoderConfig(
                encoder=config(),
                pooling=pooling,
                num_labels=num_labels,
                problem_type=problem_type,
                classifier_dropout=0.0,
            )
        )

    return build


def textcnn(num_labels: int, problem_type: str | None) -> hf.PreTrainedModel:
    sizes = {"vocab_size": VOCAB, "embedding_dim": 12, "num_filters": 4, "kernel_sizes": [2, 3, 4]}
    return TextCNN(TextCNNConfig(num_labels=num_labels, problem_type=problem_type, dropout=0.0, **sizes))


def textrnn(num_labels: int, problem_type: str | None) -> hf.PreTrainedModel:
    sizes = {"vocab_size": VOCAB, "embedding_dim": 12, "lstm_units": 5, "num_hidden_layers": LAYERS}
    return TextRNN(TextRNNConfig(num_labels=num_labels, problem_type=problem_type, dropout=0.0, **sizes))


def fasttext(num_labels: int, problem_type: str | None) -> hf.PreTrainedModel:
    sizes = {"vocab_size": VOCAB, "embedding_dim": 12, "ngrams": 3, "buckets": 50}
    model = FastText(FastTextConfig(num_labels=num_labels, problem_type=problem_type, **sizes))
    nn.init.normal_(model.embeddings.ngrams.weight[1:].data)  # zero as initialized
    return model


def native_heads(
    config: Callable[[], hf.PretrainedConfig],
    classifier: str = "classifier",
    token_classifier: str = "classifier",
    sites: tuple[str, ...] = EVERY,
    token_sites: tuple[str, ...] | None = None,
) -> tuple[Head, ...]:
    """Both heads of transformers' own."""
    return (
        Head(native(hf.AutoModelForSequenceClassification, config), classifier, SEQUENCE_LABELS, sites),
        Head(native(hf.AutoModelForTokenClassification, config), token_classifier, TOKEN_LABELS, token_sites or sites),
    )


def own_heads(config: Callable[[], hf.PretrainedConfig], pooling: str) -> tuple[Head, ...]:
    """Both heads of textmix."""
    return (
        Head(own(MixupForSequenceClassification, config, pooling), "classifier"),
        Head(own(MixupForTokenClassification, config, pooling), "classifier", TOKEN_LABELS),
    )


FAMILIES = (
    Family("BERT", native_heads(bert_config), "bert.encoder.layer"),
    Family(
        "RoBERTa",
        native_heads(lambda: hf.RobertaConfig(**BERT_LIKE, pad_token_id=1), "classifier.out_proj"),
        "roberta.encoder.layer",
        pad=1,
    ),
    Family(
        "XLM-R",
        native_heads(lambda: hf.XLMRobertaConfig(**BERT_LIKE, pad_token_id=1), "classifier.out_proj"),
        "roberta.encoder.layer",
        pad=1,
    ),
    Family("DistilBERT", native_heads(distilbert), "distilbert.transformer.layer"),
    Family(
        "ALBERT",
        native_heads(lambda: hf.AlbertConfig(**BERT_LIKE, embedding_size=8, classifier_dropout_prob=0.0)),
        "albert.encoder.albert_layer_groups",
        calls=LAYERS,
    ),
    Family(
        "ELECTRA",
        native_heads(lambda: hf.ElectraConfig(**BERT_LIKE, embedding_size=8), "classifier.out_proj"),
        "electra.encoder.layer",
    ),
    Family(
        "DeBERTa-v2",
        native_heads(lambda: hf.DebertaV2Config(**DEBERTA)),
        "deberta.encoder.layer",
        embeddings="deberta.embeddings",
    ),
    Family(
        "DeBERTa-v2 with convolution",
        native_heads(lambda: hf.DebertaV2Config(**DEBERTA, conv_kernel_size=3, conv_act="gelu")),
        "deberta.encoder.layer",
        embeddings="deberta.embeddings",
    ),
    Family(
        "MPNet",
        native_heads(lambda: hf.MPNetConfig(**BERT_LIKE, pad_token_id=1), "classifier.out_proj"),
        "mpnet.encoder.layer",
        pad=1,
    ),
    Family("XLNet", native_heads(xlnet, "logits_proj"), "transformer.layer", batch=1, left=True),
    Family("ModernBERT", native_heads(modernbert), "model.layers"),
    Family(
        "Funnel",
        native_heads(funnel, "classifier.linear_out", sites=("tokens", "embeddings", "pooled")),
        embeddings="funnel.embeddings",
        exact=False,
    ),
    Family(
        "T5",
        native_heads(t5, "classification_head.out_proj", sites=BOTH, token_sites=EVERY),
        "transformer.encoder.block",
        "transformer.decoder.block",
        ends=True,
    ),
    Family(
        "BART",
        native_heads(bart, "classification_head.out_proj", sites=BOTH)[:1],
        "model.encoder.layers",
        "model.decoder.layers",
        ends=True,
    ),
    *(
        Family(
            name,
            native_heads(config, "classification_head.out_proj", sites=BOTH)[:1],
            "model.encoder.layers",
            "model.decoder.layers",
            ends=True,
            runs=name != "MVP" or Version(hf.__version__) >= Version("5.2"),
        )
        for name, config in (
            ("mBART", bart_like(hf.MBartConfig)),
            ("MVP", bart_like(hf.MvpConfig)),
            ("PLBart", bart_like(hf.PLBartConfig)),
            ("BigBird-Pegasus", bart_like(hf.BigBirdPegasusConfig)),
        )
    ),
    *(
        Family(
            name,
            native_heads(lambda config=config: config(**T5_LIKE), "classification_head.out_proj", sites=BOTH)[:1],
            "transformer.encoder.block",
            "transformer.decoder.block",
            ends=True,
        )
        for name, config in (("mT5", hf.MT5Config), ("UMT5", hf.UMT5Config))
    ),
    Family("EuroBERT", native_heads(eurobert), "model.layers", averages=True, runs=hasattr(hf, "EuroBertConfig")),
    Family("Longformer", native_heads(longformer, "classifier.out_proj"), "longformer.encoder.layer"),
    Family("ESM", native_heads(esm, "classifier.out_proj"), "esm.encoder.layer"),
    Family("MiniMax", native_heads(minimax, "score", "score"), "model.layers"),
    Family("GPT-2", native_heads(gpt2, "score"), "transformer.h"),
    Family("Llama", native_heads(lambda: hf.LlamaConfig(**LLAMA_LIKE), "score", "score"), "model.layers"),
    Family("Qwen2", native_heads(lambda: hf.Qwen2Config(**LLAMA_LIKE), "score", "score"), "model.layers"),
    Family("Qwen3", native_heads(lambda: hf.Qwen3Config(**LLAMA_LIKE, head_dim=8), "score", "score"), "model.layers"),
    Family("BERT, linear head", own_heads(bert_config, "mean"), "encoder.encoder.layer"),
    Family("T5 encoder, linear head", own_heads(t5, "mean"), "encoder.encoder.block"),
    Family("BART encoder, linear head", own_heads(bart, "cls"), "encoder.layers"),
    Family("GPT-2, linear head", own_heads(gpt2, "last"), "encoder.h"),
    Family("Llama, linear head", own_heads(lambda: hf.LlamaConfig(**LLAMA_LIKE), "last"), "encoder.layers"),
    Family(
        "TextCNN",
        (Head(textcnn, "classifier", sites=("tokens", "embeddings", "layer:1", "pooled")),),
        "blocks",
    ),
    Family("TextRNN", (Head(textrnn, "classifier"),), "blocks"),
    Family(
        "FastText",
        (Head(fasttext, "classifier", sites=("tokens", "embeddings", "pooled")),),
        embeddings="embeddings",
    ),
)
# The head of textmix with the other poolings; the table has one of each.
POOLINGS = tuple(
    Family(f"BERT, {pooling} pooling", own_heads(bert_config, pooling), "encoder.encoder.layer")
    for pooling in ("cls", "max", "attention", "last")
)
BY_NAME = {family.name: family for family in (*FAMILIES, *POOLINGS)}

# Families that differ in structure: shared blocks, another padding id, pooling behind the classifier, relative
# positions, no transformer at all. Tests of every strategy and every model use them.
QUICK = (
    "BERT",
    "BERT, linear head",
    "RoBERTa",
    "ALBERT",
    "Llama",
    "T5 encoder, linear head",
    "TextCNN",
    "TextRNN",
)

PROBLEM_TYPES = {
    "integer": None,
    "soft": "single_label_classification",
    "multi-label": "multi_label_classification",
    "regression": None,
    "tokens": None,
}


def head_for(family: Family, labels: str) -> Head | None:
    """The classifier of a family that takes labels of this kind."""
    return next((head for head in family.heads if labels in head.labels), None)


@cache
def build(name: str, labels: str) -> hf.PreTrainedModel:
    """Build a model in float64 and training mode, without dropout: the same object each time, to be left as it is."""
    head = head_for(BY_NAME[name], labels)
    assert head is not None
    if not BY_NAME[name].runs:
        pytest.skip(f"transformers {hf.__version__} does not run {name}")
    torch.manual_seed(0)
    model = head.build(1 if labels == "regression" else 3, PROBLEM_TYPES[labels]).double().train()
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        bias = getattr(module, "bias", None)
        if isinstance(bias, Tensor) and bias.is_floating_point():
            nn.init.normal_(bias, std=0.1)  # zero as initialized, which would hide what is left out
    return model


def fresh(name: str, labels: str = "integer") -> hf.PreTrainedModel:
    """Build a model that the test may change."""
    return copy.deepcopy(build(name, labels))


def blocks_of(model: hf.PreTrainedModel, family: Family) -> list[nn.Module]:
    """The blocks of the encoder in the order they run."""
    if family.blocks is None:
        return []
    return [block for block in model.get_submodule(family.blocks) for _ in range(family.calls)]


def decoder_of(model: hf.PreTrainedModel, family: Family, head: Head) -> list[nn.Module]:
    """The blocks of the decoder; a token classifier has none."""
    if family.decoder is None or "tokens" in head.labels:
        return []
    return list(model.get_submodule(family.decoder))
