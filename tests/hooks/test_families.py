"""Every model family at every site it offers, with every kind of label, against each pair computed alone."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
import transformers as hf
from torch import Tensor, nn

from tests.support.counting import counting_blocks
from tests.support.families import BY_NAME, FAMILIES, POOLINGS, QUICK, Family, build, head_for
from tests.support.family_configs import CLS, END, VOCAB
from tests.support.family_table import CELLS, sites_of
from tests.support.pairs import Blend, Row, cut_logits, hidden_at, pair_logits
from tests.support.strategies import SPECIAL_IDS
from textmix.errors import ModelError
from textmix.hooks.attach import attach
from textmix.hooks.sites import find_sites
from textmix.mixing.config import MixConfig
from textmix.mixing.plan import MixPlan

pytestmark = pytest.mark.filterwarnings("ignore:.*:FutureWarning")

NAMES = [family.name for family in FAMILIES]
LENGTHS = [9, 4, 7, 2, 6]
IGNORED = -100
PADDINGS = ("zero", "copy")


def make_rows(family: Family) -> list[Tensor]:
    """Texts of different lengths, unpadded."""
    generator = torch.Generator().manual_seed(3)
    rows = [torch.randint(5, VOCAB, (length,), generator=generator) for length in LENGTHS]
    for row in rows:
        row[-1] = END
        if family.pad != CLS:
            row[0] = CLS
    return rows


def pad(rows: list[Tensor], value: int, left: bool) -> Tensor:
    length = max(map(len, rows))
    widths = [length - len(row) for row in rows]
    return torch.stack(
        [
            nn.functional.pad(row, (width, 0) if left else (0, width), value=value)
            for row, width in zip(rows, widths, strict=True)
        ]
    )


def make_labels(kind: str) -> Tensor:
    generator = torch.Generator().manual_seed(4)
    if kind == "integer":
        return torch.tensor([0, 1, 2, 1, 0])
    if kind == "soft":
        return torch.rand(5, 3, generator=generator, dtype=torch.float64).softmax(dim=-1)
    if kind == "multi-label":
        return torch.tensor([[1.0, 1, 0], [0, 0, 0], [0, 1, 1], [1, 0, 0], [1, 1, 1]])
    return torch.randn(5, generator=generator, dtype=torch.float64)


def make_batch(family: Family, rows: list[Tensor], kind: str, left: bool) -> dict[str, Tensor]:
    labels = make_labels(kind)
    if kind == "tokens":
        labels = pad([torch.where(row % 4 == 0, IGNORED, row % 3) for row in rows], IGNORED, left)
    mask = pad([torch.ones_like(row) for row in rows], 0, left)
    return {"input_ids": pad(rows, family.pad, left), "attention_mask": mask, "labels": labels}


# Where the other row is padding, a layer norm blows the rounding of a tiny λ up: not too many of those.
ALPHA = 2.0


def config_for(site: str, **options: Any) -> MixConfig:
    """A strategy that mixes at a site, with a λ of its own for each row."""
    if site == "tokens":
        return MixConfig(**{"strategy": "cutmix", "special_ids": SPECIAL_IDS, "per_sample": True, **options})
    strategy = {"embeddings": "word", "pooled": "sentence"}.get(site, "manifold")
    layers = {"manifold": {"layers": [int(site.split(":")[1])]}} if strategy == "manifold" else {}
    return MixConfig(strategy=strategy, alpha=ALPHA, per_sample=True, regmix=None, **layers, **options)


def mixed_forward(
    model: hf.PreTrainedModel, batch: dict[str, Tensor], config: MixConfig, site: str
) -> tuple[Tensor, Tensor, MixPlan]:
    """Train until the site is drawn; returns logits, loss and plan of one single forward pass."""
    inputs = {name: value for name, value in batch.items() if name != "labels"}
    with counting_blocks(model) as bare:
        model(**inputs)
    mixer = attach(model, config, seed=1)
    try:
        for _ in range(30):
            with counting_blocks(model) as counts:
                output = model(**batch)
            assert mixer.plan is not None
            assert counts == {name: count * (2 if config.strategy == "ssmix" else 1) for name, count in bare.items()}
            if mixer.plan.site == site:
                return output.logits.detach(), output.loss.detach(), mixer.plan
    finally:
        mixer.detach()
    raise AssertionError(f"{site} was never drawn")


def loss_of(kind: str, logits: list[float], label: list[float] | float) -> float:
    """Loss of one row or token against one label, in plain Python."""
    if kind == "regression":
        return (logits[0] - label) ** 2
    if kind == "multi-label":
        chances = [1 / (1 + math.exp(-value)) for value in logits]
        pairs = zip(chances, label, strict=True)
        return sum(-(y * math.log(p) + (1 - y) * math.log(1 - p)) for p, y in pairs) / len(logits)
    total = math.log(sum(math.exp(value) for value in logits))
    if kind == "soft":
        return sum(y * (total - value) for value, y in zip(logits, label, strict=True))
    return total - logits[int(label)]


def expected_loss(kind: str, logits: list[Tensor], labels: Tensor, plan: MixPlan) -> float:
    total = count = 0.0
    for i, (rows, weights) in enumerate(zip(plan.rows.tolist(), plan.weights.tolist(), strict=True)):
        for row, weight in zip(rows, weights, strict=True):
            if kind != "tokens":
                total += weight * loss_of(kind, logits[i].tolist(), labels[row].tolist())
                count += weight
                continue
            for t in range(labels.shape[1]):
                source, share = t, weight
                if plan.span is not None:
                    taken = bool(plan.span.replaced[i, t])
                    source, share = (int(plan.span.source[i, t]) if row != i else t), float(taken == (row != i))
                if share and labels[row, source] != IGNORED:
                    total += share * loss_of(kind, logits[i][t].tolist(), int(labels[row, source]))
                    count += share
    return total / count


def reference(
    model: hf.PreTrainedModel, family: Family, kind: str, site: str, rows: list[Row], plan: MixPlan, blend: Blend
) -> list[Tensor]:
    """Logits of each mixed row, computed from its pair alone."""
    head = head_for(family, kind)
    assert head is not None
    hidden = [hidden_at(model, family, head, site, row) for row in rows] if site != "tokens" else []
    expected = []
    for i, row in enumerate(rows):
        partner = int(plan.partner[i])
        other = rows[partner]
        if site == "tokens":
            assert plan.span is not None
            shift = (plan.span.replaced.shape[1] - len(row.ids)) if blend.left else 0
            partner_shift = (plan.span.replaced.shape[1] - len(other.ids)) if blend.left else 0
            ids = row.ids.tolist()
            for t in range(len(ids)):
                if plan.span.replaced[i, t + shift]:
                    ids[t] = other.ids.tolist()[int(plan.span.source[i, t + shift]) - partner_shift]
            expected.append(cut_logits(model, row, ids))
        else:
            mixed = replace(blend, lam=plan.lam[i].item())
            pair = (row, other), (hidden[i], hidden[partner])
            expected.append(pair_logits(model, family, head, site, *pair, mixed))
    return [logits.detach() for logits in expected]


def check(family: Family, kind: str, site: str, left: bool = False, **options: Any) -> None:
    """Compare logits and loss of a mixed batch with those of each pair alone, unpadded."""
    texts = make_rows(family)
    batch = make_batch(family, texts, kind, left)
    rows = [Row(text) for text in texts]
    if not family.exact:
        rows = [Row(ids, mask) for ids, mask in zip(batch["input_ids"], batch["attention_mask"], strict=True)]
    elif left and "GPT-2" in family.name:  # counts positions from the left edge of the batch, padding or not
        length = max(LENGTHS)
        rows = [Row(text, positions=torch.arange(length - len(text), length)) for text in texts]
    compare(family, kind, site, batch, rows, left, **options)


def compare(
    family: Family,
    kind: str,
    site: str,
    batch: dict[str, Tensor],
    rows: list[Row],
    left: bool = False,
    **options: Any,
) -> None:
    model = build(family.name, kind)
    config = config_for(site, **options)
    logits, loss, plan = mixed_forward(model, batch, config, site)
    expected = list(logits)
    if kind in ("integer", "tokens") or site == "pooled":  # up to there the network is the same for the other labels
        expected = reference(model, family, kind, site, rows, plan, Blend(1.0, left, config.padding))
    for i, row in enumerate(expected):
        found = logits[i]
        if kind == "tokens":
            real = batch["attention_mask"][i].bool()
            if plan.strategy.joins_masks:
                real = real | batch["attention_mask"][plan.partner[i]].bool()
            row, found = place(row, len(found), left)[real], found[real]
        torch.testing.assert_close(found, row, atol=1e-6, rtol=1e-6)
    padded = [place(row, logits.shape[1], left) for row in expected] if kind == "tokens" else expected
    assert loss.item() == pytest.approx(expected_loss(kind, padded, batch["labels"], plan), abs=1e-6)


def place(logits: Tensor, length: int, left: bool) -> Tensor:
    """Fill up the logits of tokens to the length of the batch."""
    fill = length - len(logits)
    return nn.functional.pad(logits, (0, 0, fill, 0) if left else (0, 0, 0, fill))


@pytest.mark.parametrize(("name", "column"), list(dict.fromkeys((name, column) for name, column, _ in CELLS)))
def test_a_cell_of_the_table(name: str, column: str) -> None:
    """Every letter in it, which stands for a kind of labels."""
    family = BY_NAME[name]
    for kind in [kind for *cell, kind in CELLS if cell == [name, column]]:
        sites = sites_of(family, column, kind)
        if kind not in ("integer", "tokens"):  # every block with one kind of label, one block with the others
            sites = sites[-1:]
        for site in sites:
            check(family, kind, site, left=family.left)


@pytest.mark.parametrize("name", NAMES)
def test_salient_spans_are_found_in_every_family(name: str) -> None:
    family = BY_NAME[name]
    check(family, "integer", "tokens", left=family.left, strategy="ssmix")


@pytest.mark.parametrize("name", NAMES)
def test_the_sites_that_are_found_are_those_of_the_table(name: str) -> None:
    for kind in ("integer", "tokens"):
        head = head_for(BY_NAME[name], kind)
        if head is not None:
            assert find_sites(build(name, kind)).names == head.sites


@pytest.mark.parametrize(
    ("name", "padding"),
    [
        *((name, "copy") for name in (*QUICK, "BART")),
        *((family.name, padding) for family in POOLINGS for padding in PADDINGS),
    ],
)
def test_a_position_that_one_row_lacks_is_a_copy_or_zero_under_every_pooling(name: str, padding: str) -> None:
    (head, *_), family = BY_NAME[name].heads, BY_NAME[name]
    for site in head.sites:
        if site != "tokens":
            check(family, "integer", site, left=family.left, padding=padding)


DECODERS = ["GPT-2", "Llama", "Qwen2", "Qwen3", "GPT-2, linear head", "Llama, linear head"]


@pytest.mark.parametrize("name", [*DECODERS, "XLNet"])
def test_padding_on_the_left(name: str) -> None:
    for site in ("tokens", "embeddings", "layer:1", "layer:3", "pooled"):
        check(BY_NAME[name], "integer", site, left=True)


# Right, left and no padding in one batch, and holes; rows 1 and 2 have no position in common.
HOLES = torch.tensor(
    [
        [1, 1, 1, 1, 1, 1, 1, 1, 1],
        [0, 0, 0, 0, 0, 1, 1, 1, 1],
        [1, 1, 1, 1, 0, 0, 0, 0, 0],
        [1, 1, 0, 0, 1, 1, 0, 0, 1],
        [0, 1, 1, 0, 0, 0, 0, 1, 1],
    ]
)
ONE_WAY = (*DECODERS, "MiniMax", "Funnel")
BIDIRECTIONAL = [family.name for family in FAMILIES if family.name not in ONE_WAY and family.decoder is None]


@pytest.mark.parametrize("name", BIDIRECTIONAL)
def test_masks_with_holes(name: str) -> None:
    family = BY_NAME[name]
    ids = torch.randint(5, VOCAB, HOLES.shape, generator=torch.Generator().manual_seed(5))
    ids = torch.where(HOLES.bool(), ids, family.pad)
    for kind, sites in (("integer", ("embeddings", "layer:3")), ("tokens", ("layer:1", "pooled"))):
        head = head_for(family, kind)
        labels = make_labels(kind) if kind == "integer" else torch.where(HOLES.bool(), ids % 3, IGNORED)
        batch = {"input_ids": ids, "attention_mask": HOLES, "labels": labels}
        for site in sites:
            if head is not None and site in head.sites:
                compare(family, kind, site, batch, [Row(*row) for row in zip(ids, HOLES, strict=True)])


@pytest.mark.parametrize("name", ["BERT", "ALBERT", "ELECTRA", "BERT, linear head"])
def test_sentence_pairs(name: str) -> None:
    family = BY_NAME[name]
    texts = make_rows(family)
    types = [(torch.arange(len(text)) > len(text) // 2).long() for text in texts]
    batch = {**make_batch(family, texts, "integer", left=False), "token_type_ids": pad(types, 0, left=False)}
    rows = [Row(text, types=second) for text, second in zip(texts, types, strict=True)]
    for site in ("tokens", "embeddings", "layer:2", "pooled"):
        compare(family, "integer", site, batch, rows)


@pytest.mark.parametrize(
    ("name", "strategy", "sites"),
    [
        ("Funnel", "manifold", "tokens, embeddings, pooled"),
        ("FastText", "manifold", "tokens, embeddings, pooled"),
    ],
)
def test_a_missing_site_names_those_there_are(name: str, strategy: str, sites: str) -> None:
    model = build(name, "integer")
    with pytest.raises(ModelError, match=f"has no site .* for strategy '{strategy}'; it offers {sites}$"):
        attach(model, MixConfig(strategy=strategy))
    assert "mixer" not in vars(model)


def test_nothing_is_touched_without_labels_and_nothing_left_behind_in_any_family() -> None:
    for family in (family for family in FAMILIES if family.runs):
        model, batch = build(family.name, "integer"), make_batch(family, make_rows(family), "integer", family.left)
        inputs = {name: value for name, value in batch.items() if name != "labels"}
        bare, keys = model(**inputs).logits, set(vars(model))
        evaluated = model.eval()(**batch).logits
        model.train()
        for site in set(find_sites(model).names) - {"layer:1", "layer:3"}:
            with attach(model, config_for(site)) as mixer:
                assert torch.equal(model(**inputs).logits, bare)
                assert torch.equal(model.eval()(**batch).logits, evaluated)
                model.train()(**batch).loss.backward()
                assert mixer.plan is not None
            assert torch.equal(model(**inputs).logits, bare)
            assert set(vars(model)) == keys
        model.zero_grad()
        model.config.problem_type = None  # transformers guess it from labels when they score themselves
