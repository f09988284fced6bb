"""Configurations of tiny models of every family, without dropout."""

from collections.abc import Callable
from typing import Any

import transformers as hf

VOCAB, LAYERS = 60, 3
CLS, END = 1, 2  # special ids; words begin at 5

BERT_LIKE: dict[str, Any] = {
    "vocab_size": VOCAB,
    "hidden_size": 16,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "max_position_embeddings": 64,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}
LLAMA_LIKE: dict[str, Any] = {
    "vocab_size": VOCAB,
    "hidden_size": 16,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "intermediate_size": 24,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": CLS,
    "eos_token_id": END,
}
DEBERTA: dict[str, Any] = {**BERT_LIKE, "relative_attention": True, "pos_att_type": ["p2c", "c2p"]}


def bert_config() -> hf.BertConfig:
    return hf.BertConfig(**BERT_LIKE, num_labels=3)


def distilbert() -> hf.PretrainedConfig:
    sizes = {"vocab_size": VOCAB, "dim": 16, "n_layers": LAYERS, "n_heads": 2, "hidden_dim": 24}
    return hf.DistilBertConfig(**sizes, dropout=0.0, attention_dropout=0.0, seq_classif_dropout=0.0)


def xlnet() -> hf.PretrainedConfig:
    sizes = {"vocab_size": VOCAB, "d_model": 16, "n_layer": LAYERS, "n_head": 2, "d_inner": 24}
    return hf.XLNetConfig(**sizes, dropout=0.0, summary_last_dropout=0.0, pad_token_id=0)


def modernbert() -> hf.PretrainedConfig:
    ids = {"pad_token_id": 0, "bos_token_id": CLS, "cls_token_id": CLS, "eos_token_id": END, "sep_token_id": END}
    sizes = {name: value for name, value in BERT_LIKE.items() if "dropout" not in name}
    # Every other block has a window of two tokens to either side: masks of two kinds, united each on its own.
    windows = {"local_attention": 4, "global_attn_every_n_layers": 2}
    return hf.ModernBertConfig(**sizes, **ids, **windows, classifier_pooling="mean")


def funnel() -> hf.PretrainedConfig:
    none = {"hidden_dropout": 0.0, "attention_dropout": 0.0, "activation_dropout": 0.0}
    sizes = {"vocab_size": VOCAB, "block_sizes": [1, 2], "d_model": 16, "n_head": 2, "d_head": 8, "d_inner": 24}
    return hf.FunnelConfig(**sizes, **none)


T5_LIKE: dict[str, Any] = {
    "vocab_size": VOCAB,
    "d_model": 16,
    "d_kv": 8,
    "d_ff": 24,
    "num_layers": LAYERS,
    "num_heads": 2,
    "dropout_rate": 0.0,
    "eos_token_id": END,
    "pad_token_id": 0,
    "decoder_start_token_id": 0,
}


def t5() -> hf.PretrainedConfig:
    return hf.T5Config(**T5_LIKE)


def bart() -> hf.PretrainedConfig:
    sizes = {f"{part}_{name}": value for part in ("encoder", "decoder") for name, value in _BART_SIZES.items()}
    ids = {"pad_token_id": 0, "bos_token_id": CLS, "eos_token_id": END, "decoder_start_token_id": END}
    return hf.BartConfig(vocab_size=VOCAB, d_model=16, max_position_embeddings=64, dropout=0.0, **sizes, **ids)


_BART_SIZES = {"layers": LAYERS, "attention_heads": 2, "ffn_dim": 24}
BART_FIELDS = (
    "vocab_size",
    "d_model",
    "max_position_embeddings",
    "dropout",
    "pad_token_id",
    "bos_token_id",
    "eos_token_id",
    "decoder_start_token_id",
    *(f"{part}_{name}" for part in ("encoder", "decoder") for name in _BART_SIZES),
)


def bart_like(config: type[hf.PretrainedConfig]) -> Callable[[], hf.PretrainedConfig]:
    sizes = {name: value for name, value in bart().to_dict().items() if name in BART_FIELDS}
    none = {"attention_dropout": 0.0, "activation_dropout": 0.0, "classifier_dropout": 0.0}
    return lambda: config(**sizes, **none)


def esm() -> hf.PretrainedConfig:
    return hf.EsmConfig(**BERT_LIKE, pad_token_id=0, mask_token_id=3, position_embedding_type="rotary")


def minimax() -> hf.PretrainedConfig:
    layers = ["linear_attention", "full_attention", "linear_attention"]
    experts = {"num_local_experts": 2, "num_experts_per_tok": 1, "head_dim": 8, "block_size": 4}
    # The other implementation of the experts has no float64.
    return hf.MiniMaxConfig(**LLAMA_LIKE, **experts, layer_types=layers, experts_implementation="eager")


def eurobert() -> hf.PretrainedConfig:
    return hf.EuroBertConfig(**LLAMA_LIKE, classifier_pooling="late")


def longformer() -> hf.PretrainedConfig:
    return hf.LongformerConfig(**BERT_LIKE, pad_token_id=0, attention_window=4)


def gpt2() -> hf.PretrainedConfig:
    sizes = {"vocab_size": VOCAB, "n_embd": 16, "n_layer": LAYERS, "n_head": 2, "n_positions": 64}
    none = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
    return hf.GPT2Config(**sizes, **none, pad_token_id=0, bos_token_id=CLS, eos_token_id=END)
