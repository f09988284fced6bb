"""What inspect draws and lays out, rebuilt here from the rows alone or from the model's own parts."""

from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import processors
from transformers import BertForSequenceClassification, PreTrainedModel, PreTrainedTokenizerBase

from tests.support.family_configs import bert_config
from tests.support.topics import TOPICS, topic_rows
from textmix.analysis.inspect.draw import DrawOptions, draw_pairs
from textmix.analysis.inspect.layout import Texts
from textmix.analysis.inspect.pairs import Pair
from textmix.errors import ConfigError, DataError, ModelError
from textmix.hooks.special_tokens import special_ids
from textmix.mixing.completion import complete
from textmix.mixing.config import MixConfig
from textmix.mixing.loss_config import LossConfig
from textmix.mixing.mixer import Mixer
from textmix.mixing.plan import MixPlan
from textmix.mixing.registry import STRATEGIES
from textmix.models.words.textcnn import TextCNN, TextCNNConfig
from textmix.models.words.tokenizer_training import train_tokenizer

NAMES = sorted(TOPICS)
ROWS = topic_rows(24)
# Rows of different lengths, so that there is padding.
WORDS = [text.split()[: 2 + number % 5] for number, (text, _) in enumerate(ROWS)]
LABELS = np.array([NAMES.index(label) for _, label in ROWS])
TEXTS = Texts([" ".join(words) for words in WORDS], None, LABELS, [label for _, label in ROWS])
PAIRS = Texts(TEXTS.texts, TEXTS.texts[::-1], TEXTS.labels, TEXTS.shown)


def tokenizer_of(kind: str = "word", side: str = "right") -> PreTrainedTokenizerBase:
    tokenizer = train_tokenizer([text for text, _ in ROWS], kind)
    tokenizer.padding_side = side
    return tokenizer


def textcnn(tokenizer: PreTrainedTokenizerBase) -> TextCNN:
    torch.manual_seed(0)
    return TextCNN(TextCNNConfig(vocab_size=len(tokenizer), embedding_dim=8, num_filters=4, num_labels=3))


def bert(tokenizer: PreTrainedTokenizerBase) -> BertForSequenceClassification:
    torch.manual_seed(0)
    config = bert_config()
    config.vocab_size = len(tokenizer)
    return BertForSequenceClassification(config)


def draw(
    strategy: str,
    model: PreTrainedModel | None = None,
    tokenizer: PreTrainedTokenizerBase | None = None,
    texts: Texts = TEXTS,
    **options: Any,
) -> list[Pair]:
    tokenizer = tokenizer or tokenizer_of()
    drawing = {name: options.pop(name) for name in ("count", "batch_size", "max_length", "seed") if name in options}
    choices = {"word": 1.0, "cutmix": 1.0, "none": 1.0} if strategy == "any" else None
    config = MixConfig(strategy=strategy, **{"alpha": 1.0, "any": {"choices": choices}, **options})
    counts = [texts.labels.tolist().count(number) for number in range(len(NAMES))]
    mix = complete(config, LossConfig(), lambda: special_ids(tokenizer), lambda: counts)
    pairs = draw_pairs(model or textcnn(tokenizer), tokenizer, texts, mix, LossConfig(), DrawOptions(**drawing))
    return list(pairs)


@pytest.fixture
def plans(monkeypatch: pytest.MonkeyPatch) -> list[MixPlan]:
    """The plans that the mixer draws."""
    found: list[MixPlan] = []
    original = Mixer.draw

    def record(self: Mixer, *args: Any, **kwargs: Any) -> MixPlan | None:
        plan = original(self, *args, **kwargs)
        assert plan is not None
        found.append(plan.mixed or plan)
        return plan

    monkeypatch.setattr(Mixer, "draw", record)
    return found


@pytest.mark.parametrize("strategy", sorted(set(STRATEGIES) - {"none"}))
@pytest.mark.parametrize("build", [textcnn, bert])
def test_pairs_are_those_of_the_plans(strategy: str, build: Any, plans: list[MixPlan]) -> None:
    tokenizer = tokenizer_of()
    pairs = draw(strategy, build(tokenizer), tokenizer, count=6, batch_size=7, seed=3)
    order = torch.randperm(24, generator=torch.Generator().manual_seed(3)).tolist()
    assert len(pairs) == len(plans) == 6
    for step, (pair, plan) in enumerate(zip(pairs, plans, strict=True)):
        batch = [order[(step + offset) % 24] for offset in range(7)]
        assert (pair.step, pair.strategy, pair.site) == (step, plan.strategy.name, plan.site)
        assert pair.lam == pytest.approx(float(plan.lam[0]))
        drawn = {
            batch[row]: weight for row, weight in zip(plan.rows[0].tolist(), plan.weights[0].tolist(), strict=True)
        }
        assert {row.number: row.weight for row in pair.rows} == pytest.approx(drawn)
        assert pair.rows[0].number == batch[0]
        assert [row.weight for row in pair.rows[1:]] == sorted((row.weight for row in pair.rows[1:]), reverse=True)
        target = dict.fromkeys(NAMES, 0.0)
        for row in pair.rows:
            assert row.text == TEXTS.texts[row.number]
            assert row.label == ROWS[row.number][1]
            target[row.label] += drawn[row.number]
        assert pair.target == pytest.approx({name: weight for name, weight in target.items() if weight > 0})
        assert sum(pair.target.values()) == pytest.approx(1)
        assert list(pair.target.values()) == sorted(pair.target.values(), reverse=True)


class TestTokens:
    @pytest.mark.parametrize("strategy", ["cutmix", "ssmix"])
    @pytest.mark.parametrize("kind", ["word", "wordpiece", "bpe"])
    @pytest.mark.parametrize("side", ["right", "left"])
    def test_replaying_the_tokens_gives_the_text(self, strategy: str, kind: str, side: str) -> None:
        tokenizer = tokenizer_of(kind, side)
        cut = 0
        for pair in draw(strategy, tokenizer=tokenizer, count=12, batch_size=6):
            own, partner = pair.rows
            ids = []
            for index, position in enumerate(pair.positions):
                if position.source is not None:
                    assert (position.origin, position.parts) == ("partner", [None, partner.tokens[position.source]])
                    ids.append(partner.ids[position.source])
                    cut += 1
                elif own.ids[index] is None:
                    assert position.origin == "padding"
                    assert position.id is position.token is None
                    continue
                else:
                    assert (position.origin, position.parts) == ("own", [own.tokens[index], None])
                    ids.append(own.ids[index])
                assert position.id == ids[-1]
            assert pair.mixed_text == tokenizer.decode(ids).strip()
            kept = sum(position.origin == "own" for position in pair.positions)
            assert pair.lam == pytest.approx(kept / len(ids))
            assert pair.nearest == []
            assert pair.note is None
        assert cut > 10

    def test_separators_of_a_pair_stay_and_part_the_text(self) -> None:
        tokenizer = tokenizer_of()
        for pair in draw("cutmix", tokenizer=tokenizer, texts=PAIRS, count=8, max_length=32):
            own = pair.rows[0]
            (place,) = (index for index, token in enumerate(own.tokens) if token == "[SEP]")
            assert pair.positions[place].origin == "special"
            tokens = [position.token for position in pair.positions if position.token is not None]
            assert pair.mixed_text == f"{' '.join(tokens[:place])} | {' '.join(tokens[place + 1 :])}"
            assert own.text_pair == PAIRS.pairs[own.number]

    def test_special_tokens_at_both_ends(self) -> None:
        tokenizer = tokenizer_of()
        tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
            single="[SEP] $A [SEP]", special_tokens=[("[SEP]", tokenizer.sep_token_id)]
        )
        for pair in draw("cutmix", tokenizer=tokenizer, count=4):
            real = [position for position in pair.positions if position.origin != "padding"]
            assert [real[0].origin, real[-1].origin] == ["special", "special"]
            assert "[SEP]" not in (pair.mixed_text or "")

    def test_texts_are_cut_before_they_are_mixed(self) -> None:
        for pair in draw("cutmix", max_length=3, count=5):
            assert max(len(row.tokens) for row in pair.rows) <= 3

    def test_words_of_byte_level_tokenizers_are_readable(self) -> None:
        tokenizer = train_tokenizer(["naïve café"] * 3 + [text for text, _ in ROWS], "bpe")
        texts = Texts(["naïve café", "the song"], None, np.array([0, 1]), NAMES)
        (pair,) = draw("cutmix", tokenizer=tokenizer, texts=texts, count=1)
        written = {row.text: "".join(token for token in row.tokens if token is not None) for row in pair.rows}
        assert written == {"naïve café": " naïve café", "the song": " the song"}


class TestVectors:
    def nearest(self, vector: torch.Tensor, table: torch.Tensor, names: list[str]) -> list[tuple[str, float]]:
        scored = []
        for name, row in zip(names, table, strict=True):
            length = float(row.norm() * vector.norm())
            scored.append((float(row @ vector) / length if length else 0.0, name))
        return [(name, cosine) for cosine, name in sorted(scored, reverse=True)[:3]]

    @pytest.mark.parametrize("padding", ["zero", "copy"])
    def test_nearest_tokens_of_blended_embeddings(self, padding: str) -> None:
        tokenizer = tokenizer_of()
        model = textcnn(tokenizer)
        table = model.embeddings.weight.detach()
        names = tokenizer.convert_ids_to_tokens(range(len(table)))
        origins = set()
        for pair in draw("word", model, tokenizer, count=8, padding=padding):
            for index, position in enumerate(pair.positions):
                vector = torch.zeros(8)
                parts = [row.ids[index] for row in pair.rows]
                assert position.parts == [names[id_] if id_ is not None else None for id_ in parts]
                for id_, row in zip(parts, pair.rows, strict=True):
                    alone = padding == "copy" and None in parts
                    if id_ is not None:
                        vector += (1.0 if alone else row.weight) * table[id_]
                origins.add(position.origin)
                wanted = {(True, True): "both", (True, False): "own", (False, True): "partner"}
                assert position.origin == wanted[parts[0] is not None, parts[1] is not None]
                expected = self.nearest(vector, table, names)
                assert [near.token for near in position.nearest] == [name for name, _ in expected]
                cosines = [cosine for _, cosine in expected]
                assert [near.cosine for near in position.nearest] == pytest.approx(cosines, abs=1e-3)
            assert pair.mixed_text is None
            assert pair.note == "nearest tokens by cosine to the input embeddings"
        assert origins == {"both", "own", "partner"}

    def test_nearest_tokens_behind_a_block(self) -> None:
        """Both rows as they come out of the block of a copy that nobody mixes, blended here."""
        tokenizer = tokenizer_of()
        model = bert(tokenizer).eval()
        table = model.get_input_embeddings().weight.detach()
        names = tokenizer.convert_ids_to_tokens(range(len(table)))
        for pair in draw("manifold", model, tokenizer, manifold={"layers": [2]}, count=20):
            if pair.site != "layer:2":
                continue
            states = []
            for row in pair.rows:
                ids = torch.tensor([[id_ for id_ in row.ids if id_ is not None]])
                hidden = model.bert(ids, output_hidden_states=True).hidden_states[2][0].detach()
                states.append(torch.cat([hidden, torch.zeros(len(row.ids) - len(hidden), 16)]))
            blended = sum(row.weight * state for row, state in zip(pair.rows, states, strict=True))
            for position, vector in zip(pair.positions, blended, strict=True):
                expected = self.nearest(vector, table, names)
                assert [near.cosine for near in position.nearest] == pytest.approx(
                    [cosine for _, cosine in expected], abs=1e-3
                )
            assert "only a rough picture" in (pair.note or "")

    @pytest.mark.parametrize("strategy", ["sentence", "batch"])
    def test_sentence_vectors_have_no_positions(self, strategy: str) -> None:
        tokenizer = tokenizer_of()
        for pair in draw(strategy, bert(tokenizer), tokenizer, count=2):
            assert pair.positions == []
            assert len(pair.nearest) == 3
            assert "only a rough picture, because a sentence vector" in (pair.note or "")

    def test_vectors_of_another_size_are_not_compared(self) -> None:
        (pair,) = draw("sentence", count=1)
        assert pair.nearest == []
        assert pair.note == "vectors of size 12 cannot be compared with token embeddings of size 8"

    def test_a_span_of_embeddings_says_where_it_comes_from(self) -> None:
        for keep, origin in ((0.0, "partner"), (0.4, "both")):
            replaced = 0
            for pair in draw("cutmix", cutmix={"level": "embeddings", "keep": keep}, count=8):
                own, partner = pair.rows
                for index, position in enumerate(pair.positions):
                    if position.source is not None:
                        kept = own.tokens[index] if keep else None
                        assert (position.origin, position.parts) == (origin, [kept, partner.tokens[position.source]])
                        replaced += 1
            assert replaced > 5


class TestDraws:
    def test_a_seed_fixes_them(self) -> None:
        assert draw("any", count=6, seed=4) == draw("any", count=6, seed=4)
        assert draw("any", count=6, seed=4) != draw("any", count=6, seed=5)

    def test_lam_and_site_vary_from_pair_to_pair(self) -> None:
        tokenizer = tokenizer_of()
        pairs = draw("manifold", bert(tokenizer), tokenizer, count=12)
        assert len({pair.lam for pair in pairs}) == 12
        assert len({pair.site for pair in pairs}) > 2
        assert len({pair.rows[0].number for pair in pairs}) == 12

    def test_only_mixed_steps_are_drawn(self) -> None:
        assert len(draw("word", probability=0.01, start=0.9, alpha_schedule="linear_out", count=9)) == 9
        assert len(draw("any", count=20)) == 20  # `none` is one of its choices
        with pytest.raises(ConfigError, match="mixes nothing, so there is nothing to show"):
            draw("none")
        with pytest.raises(ConfigError, match="mixes nothing"):
            draw("any", any={"choices": {"none": 1.0, "word": 0.0}})

    def test_clean_rows_do_not_change_what_is_drawn(self) -> None:
        for strategy in ("word", "cutmix", "nonlinear"):
            assert draw(strategy, count=4, regmix=1.0) == draw(strategy, count=4)

    def test_no_more_pairs_than_rows(self) -> None:
        few = Texts(TEXTS.texts[:3], None, np.array([0, 1, 2]), NAMES)
        pairs = draw("word", texts=few, count=9)
        assert sorted(pair.rows[0].number for pair in pairs) == [0, 1, 2]
        with pytest.raises(DataError, match="a single row has no partner"):
            draw("word", texts=Texts(TEXTS.texts[:1], None, np.array([0]), NAMES))

    def test_a_row_without_a_partner_stands_alone(self) -> None:
        few = Texts(TEXTS.texts[:3], None, np.array([0, 1, 2]), NAMES)
        for strategy in ("word", "cutmix", "multi"):
            for pair in draw(strategy, texts=few, count=3, partner="same_class"):
                assert len(pair.rows) == 1
                assert pair.target == {pair.rows[0].label: pytest.approx(1)}
                assert {position.origin for position in pair.positions} == {"own"}

    def test_remix_shows_in_the_target_alone(self, plans: list[MixPlan]) -> None:
        pairs = draw("word", targets="remix", remix_kappa=1.0, remix_tau=1.0, class_counts=[1, 30, 900], count=8)
        moved = 0
        for pair, plan in zip(pairs, plans, strict=True):
            weights = plan.targets[0].tolist()
            assert [row.target_weight for row in pair.rows] == pytest.approx(weights)
            moved += weights != plan.weights[0].tolist()
        assert moved > 0

    def test_a_missing_site_is_named(self) -> None:
        with pytest.raises(ModelError, match="has no site layer:7"):
            draw("manifold", manifold={"layers": [7]})

    @pytest.mark.parametrize("strategy", ["ssmix", "word"])
    def test_the_model_is_left_as_it_was(self, strategy: str) -> None:
        tokenizer = tokenizer_of()
        model = bert(tokenizer).eval()
        model.bert.train()
        modes = [module.training for module in model.modules()]
        before = {name: value.clone() for name, value in model.state_dict().items()}
        torch.manual_seed(1)
        state = torch.get_rng_state()
        draw(strategy, model, tokenizer, count=2)
        assert torch.equal(state, torch.get_rng_state())
        assert [module.training for module in model.modules()] == modes
        assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
        assert all(parameter.grad is None for parameter in model.parameters())
        assert "mixer" not in vars(model)
        assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_unknown_words_are_ordinary_tokens() -> None:
    tokenizer = tokenizer_of()
    assert tokenizer.unk_token_id not in special_ids(tokenizer)
    pairs = draw(
        "cutmix", tokenizer=tokenizer, texts=Texts(["zebra zoo", "giraffe"], None, np.array([0, 1]), NAMES), count=2
    )
    assert {position.token for pair in pairs for position in pair.positions} <= {"[UNK]", None}
    assert all("[UNK]" in (pair.mixed_text or "") for pair in pairs)
