"""Mix every sequence classifier of transformers: python -m benchmarks.architectures [--types TYPE …].

For each model type the benchmark builds a tiny random model without dropout and trains it one step at each site of each
strategy. A strategy counts as mixed if

- loss and gradients are finite,
- a row that weighs all, of a length that no other row exceeds, has the logits that it has alone (λ of 0 and of 1), and
- the model gives the same logits as before once the mixer is detached.

It counts as refused if textmix raises an error of its own in the first step, and else as wrong. Model types that do
not run with so small a configuration, also without mixing, are left out. Results:
benchmarks/results/architectures.json; the table of docs/models.md is printed, also by `--table` alone.
"""

import contextlib
import json
import os
import sys
import warnings
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import torch
import transformers
from torch import Tensor
from transformers import (
    CONFIG_MAPPING,
    MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING,
    AutoModelForSequenceClassification,
    PretrainedConfig,
    PreTrainedModel,
)

from benchmarks.shared import machine, make_parser, print_table, result_file, write_results
from textmix.errors import TextmixError
from textmix.hooks.attach import attach
from textmix.mixing.config import MixConfig

MIXED, LEFT_OUT = "mixed", "left out"
Outcomes = dict[str, dict[str, str]]
STRATEGIES: dict[str, dict[str, Any]] = {
    "word": {},
    "sentence": {},
    "manifold": {},
    "cutmix": {"special_ids": [0, 1, 2]},
}
PAD, BEGIN, END = 0, 1, 2
WORDS = range(3, 99)
LENGTHS = (9, 6, 9, 4, 8)
PARAMETERS = 60_000_000  # larger models are left out: their sizes are not among the fields below
DRAWS = 60  # at most, until each site was drawn

# A size, and the fields of configurations that get it.
FIELDS: dict[int, str] = {
    2: """num_hidden_layers n_layer n_layers num_layers encoder_layers decoder_layers num_decoder_layers
        num_key_value_heads num_experts_per_tok num_experts_per_token""",
    4: """num_attention_heads n_head n_heads num_heads encoder_attention_heads decoder_attention_heads num_experts
        num_local_experts n_routed_experts conv_kernel moe_num_experts""",
    1: "n_group topk_group",
    8: """head_dim d_kv qk_rope_head_dim qk_nope_head_dim v_head_dim rotary_dim rope_dim hidden_size_per_layer_input
        state_size d_head""",
    16: "kv_lora_rank q_lora_rank",
    32: """hidden_size d_model dim n_embd emb_dim embedding_size word_embed_proj_dim moe_intermediate_size
        pooler_hidden_size rotary_ndims""",
    64: """intermediate_size hidden_dim ffn_dim encoder_ffn_dim decoder_ffn_dim d_ff d_inner n_inner
        max_position_embeddings n_positions max_seq_len""",
    120: "vocab_size vocab_size_per_layer_input lm_head_vocab",
}
SPECIAL = {
    "pad_token_id": PAD,
    "bos_token_id": BEGIN,
    "cls_token_id": BEGIN,
    "sep_token_id": BEGIN,
    "eos_token_id": END,
    "decoder_start_token_id": PAD,
}
# A wide distribution, so that the rows of a random model differ.
SPREAD = {"initializer_range": 0.1, "init_std": 0.1, "initializer_factor": 2.0}


def small_config(kind: type[PretrainedConfig]) -> PretrainedConfig:
    """Make a configuration with few and narrow layers and no dropout, with 3 labels."""
    default = kind()
    known = {*default.to_dict(), *default.attribute_map}
    sizes = {name: size for size, names in FIELDS.items() for name in names.split() if name in known}
    sizes |= {default.attribute_map[name]: size for name, size in sizes.items() if name in default.attribute_map}
    sizes = {name: size for name, size in sizes.items() if name not in default.attribute_map}
    dropout = {name: 0.0 for name, value in default.to_dict().items() if "drop" in name and isinstance(value, float)}
    spread = {name: value for name, value in SPREAD.items() if name in known}
    noise = {name: 0.0 for name, value in default.to_dict().items() if "noise" in name and isinstance(value, float)}
    config = kind(**{**sizes, **dropout, **noise, **spread, **layer_kinds(default), **SPECIAL, "num_labels": 3})
    if getattr(config, "default_language", "") is None:  # X-MOD chooses its adapters by it
        config.default_language = config.languages[0]
    return config


def layer_kinds(default: PretrainedConfig) -> dict[str, Any]:
    """Return the kinds of attention of the first two layers, where a configuration lists one for each layer."""
    fields = default.to_dict()
    kinds: dict[str, Any] = {}
    if fields.get("layer_types"):
        kinds["layer_types"] = fields["layer_types"][:2]
    if fields.get("attention_types"):  # GPT-Neo: [[kinds, repetitions]]
        kinds["attention_types"] = [[fields["attention_types"][0][0], 1]]
    return kinds


def build(kind: type[PretrainedConfig]) -> PreTrainedModel:
    """Build a small classifier.

    Raises:
        ValueError: If it has too many parameters to be built here.
    """
    config = small_config(kind)
    with torch.device("meta"):
        size = sum(p.numel() for p in AutoModelForSequenceClassification.from_config(config).parameters())
    if size > PARAMETERS:
        raise ValueError(f"{size / 1e6:.0f} million parameters")
    torch.manual_seed(0)
    model: PreTrainedModel = AutoModelForSequenceClassification.from_config(config)
    model.train()
    return model


def make_batch() -> dict[str, Tensor]:
    """Make five rows of different lengths, padded on the right, that begin and end in a special token."""
    generator = torch.Generator().manual_seed(1)
    lengths, positions = torch.tensor(LENGTHS)[:, None], torch.arange(max(LENGTHS))
    ids = torch.randint(WORDS.start, WORDS.stop, (len(LENGTHS), max(LENGTHS)), generator=generator)
    ids = torch.where(positions == 0, BEGIN, torch.where(positions == lengths - 1, END, ids))
    mask = positions < lengths
    return {"input_ids": torch.where(mask, ids, PAD), "attention_mask": mask.long()}


def train_step(model: PreTrainedModel, batch: dict[str, Tensor]) -> Tensor:
    """Run forward and backward; returns the logits.

    Raises:
        ArithmeticError: If the loss or a gradient is not finite, or the table of words has no gradient.
    """
    model.zero_grad()
    output = model(**batch, labels=torch.tensor([0, 1, 2, 0, 1]))
    output.loss.backward()
    grads = [p.grad for p in model.parameters() if p.grad is not None]
    if not all(torch.isfinite(value).all() for value in (output.loss, *grads)) or not grads:
        raise ArithmeticError("loss or gradients are not finite")
    logits: Tensor = output.logits.detach()
    return logits


def check_strategy(model: PreTrainedModel, batch: dict[str, Tensor], strategy: str) -> None:
    """Train a model at each site of a strategy.

    Raises:
        ArithmeticError: If it is mixed in a wrong way.
        TextmixError: If it is refused.
    """
    with torch.no_grad():
        clean = model(**batch).logits
    whole = batch["attention_mask"].all(dim=1)
    # MRA has no attention without its kernel, so that all rows have the same logits.
    tolerance = max(1e-3 * clean[whole].std(dim=0).max().item(), 1e-6)
    for lam in (0.0, 1.0):
        config = MixConfig(strategy=strategy, lam="fixed", lam_value=lam, **STRATEGIES[strategy])
        with attach(model, config) as mixer:
            seen: set[str] = set()
            for _ in range(DRAWS):
                logits, plan = train_step(model, batch), mixer.plan
                assert plan is not None
                heavy = torch.arange(len(LENGTHS)) if lam else plan.partner
                error = (logits - clean[heavy])[whole[heavy]].abs().max().item()
                if strategy != "cutmix" and not error <= tolerance:
                    raise ArithmeticError(f"at {plan.site} a row that weighs all is off by {error / tolerance:.0e}")
                seen.add(plan.site)
                if seen == set(mixer.sites):
                    break
    with torch.no_grad():
        if not torch.equal(model(**batch).logits, clean):
            raise ArithmeticError("the model is not what it was")


def examine(kind: type[PretrainedConfig]) -> dict[str, str]:
    """Try a model type: the outcome of each strategy, or why the model itself does not run."""
    batch = make_batch()
    try:
        model = build(kind)
        first, second = train_logits(model, batch), train_logits(model, batch)
    except Exception as error:
        return {LEFT_OUT: one_line(error)}
    if not torch.equal(first, second):
        return {LEFT_OUT: "draws random numbers in its forward pass"}
    outcomes = {}
    for strategy in STRATEGIES:
        try:
            check_strategy(model, batch, strategy)
            outcomes[strategy] = MIXED
        except TextmixError as error:
            outcomes[strategy] = f"refused: {one_line(error)}"
        except Exception as error:
            outcomes[strategy] = f"wrong: {one_line(error)}"
    return outcomes


def train_logits(model: PreTrainedModel, batch: dict[str, Tensor]) -> Tensor:
    """Return the logits in training mode."""
    with torch.no_grad():
        logits: Tensor = model(**batch).logits
    return logits


def one_line(error: Exception) -> str:
    """Return the first line of an error, with its class if it is not one of textmix."""
    line = (str(error).strip().splitlines() or [""])[0]
    return line if isinstance(error, TextmixError) else f"{type(error).__name__}: {line[:120]}"


def classifiers() -> dict[str, type[PretrainedConfig]]:
    """Return the configuration of each model type that has a sequence classifier."""
    kinds: dict[str, type[PretrainedConfig]] = {}
    for name in CONFIG_MAPPING:
        with contextlib.suppress(Exception):  # a type whose module needs a package that is not there
            kinds[name] = CONFIG_MAPPING[name]
    return {name: kind for name, kind in kinds.items() if kind in MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING}


def run(names: Sequence[str], kinds: dict[str, type[PretrainedConfig]]) -> Outcomes:
    """Try model types, and print each outcome."""
    outcomes: Outcomes = {}
    for name in names:
        outcomes[name] = examine(kinds[name])
        print(name, outcomes[name], file=sys.stderr, flush=True)
    return outcomes


def count(outcomes: Outcomes) -> tuple[int, int]:
    """Count the model types that every strategy mixes, and those that run."""
    ran = [result for result in outcomes.values() if LEFT_OUT not in result]
    return sum(set(result.values()) == {MIXED} for result in ran), len(ran)


def table(outcomes: Outcomes) -> list[list[str]]:
    """Make the rows of the table: model types with the same outcome, from the most to the fewest."""
    groups: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for name, result in outcomes.items():
        if LEFT_OUT not in result:
            signs = ["✓" if outcome == MIXED else "–" for outcome in result.values()]
            reasons = dict.fromkeys(outcome.split(": ", 1)[1] for outcome in result.values() if outcome != MIXED)
            groups[(*signs, next(iter(reasons), ""))].append(f"`{name}`")
    rows = [[", ".join(names), *cells] for cells, names in groups.items()]
    left_out = [f"`{name}`" for name, result in outcomes.items() if LEFT_OUT in result]
    rows.sort(key=lambda row: -row[0].count(","))
    reason = "left out: the benchmark has no small model of it that runs without mixing"
    return [*rows, [", ".join(left_out), "", "", "", "", reason]] if left_out else rows


def main() -> None:
    """Run the benchmark."""
    parser = make_parser(__doc__)
    parser.add_argument("--types", nargs="+", default=None, help="model types; default: all")
    parser.add_argument("--table", action="store_true", help="print the table of the result file, without measuring")
    options = parser.parse_args()
    if options.table:
        outcomes = json.loads(result_file("architectures", options).read_text())["outcomes"]
    else:
        os.environ["HF_HUB_OFFLINE"] = "1"
        warnings.filterwarnings("ignore")
        transformers.logging.set_verbosity_error()
        kinds = classifiers()
        outcomes = run(sorted(options.types or kinds), kinds)
        mixed, ran = count(outcomes)
        record = {"mixed": mixed, "ran": ran, "environment": machine("fp32"), "outcomes": outcomes}
        if options.types is None:
            write_results("architectures", record, options)
        print(f"{mixed} of {ran} take every strategy", file=sys.stderr)
    print_table(["model types", *(f"`{name}`" for name in STRATEGIES), "why not the others"], table(outcomes))


if __name__ == "__main__":
    main()
