"""The contract of the mixer, over every strategy and model."""

import copy
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from transformers import PreTrainedModel

from tests.conftest import MODELS, VOCAB, mix
from tests.reference import reference_logits
from textmix.attach import attach, mixing
from textmix.errors import ConfigError, ModelError
from textmix.mixing.config import MixConfig
from textmix.mixing.strategies.base import STRATEGIES
from textmix.sites import find_sites

Build = Callable[[str], PreTrainedModel]
Batch = dict[str, torch.Tensor]
MIXING = [name for name in STRATEGIES if name != "none"]

pytestmark = pytest.mark.filterwarnings("ignore:.*gradient_checkpointing_enable.*:FutureWarning")


def unlabelled(batch: Batch) -> Batch:
    return {name: value for name, value in batch.items() if name != "labels"}


def hooks(model: nn.Module) -> int:
    return sum(
        len(getattr(module, name))
        for module in model.modules()
        for name in vars(module)
        if name.endswith("_hooks") or name.endswith("_hooks_with_kwargs")
    )


@contextmanager
def counting_blocks(model: PreTrainedModel) -> Iterator[list[int]]:
    """Count how often each block runs."""
    blocks = [block.module for block in find_sites(model).blocks]
    counts = [0] * len(blocks)
    originals = [block.forward for block in blocks]
    for number, block in enumerate(blocks):

        def counted(*args: object, number: int = number, **kwargs: object) -> object:
            counts[number] += 1
            return originals[number](*args, **kwargs)

        block.forward = counted
    yield counts
    for block, original in zip(blocks, originals, strict=True):
        block.forward = original


def plan_for(model: PreTrainedModel, batch: Batch, site: str, **options: object) -> tuple[object, object]:
    """Run the model until a plan at `site` is drawn; return its output and the mixer."""
    strategy = {"embeddings": "word", "pooled": "sentence"}.get(site, "manifold")
    layers = {"layers": [int(site.split(":")[1])]} if strategy == "manifold" else {}
    mixer = attach(model, MixConfig(strategy=strategy, per_sample=True, **layers, **options), seed=1)
    while True:
        output = model(**batch)
        if mixer.plan is not None and mixer.plan.site == site:
            return output, mixer


SITES = {name: ["embeddings", "layer:1", "layer:2", "layer:3", "pooled"] for name in MODELS}
SITES["textcnn"] = ["embeddings", "layer:1", "pooled"]


@pytest.mark.parametrize("padding", ["zero", "copy"])
@pytest.mark.parametrize(("name", "site"), [(name, site) for name, sites in SITES.items() for site in sites])
def test_logits_and_loss_equal_an_independent_loop(
    build: Build, ragged: Batch, name: str, site: str, padding: str
) -> None:
    model = build(name)
    if name == "roberta":  # its padding id is also what it counts positions by
        ragged["input_ids"] = torch.where(ragged["attention_mask"].bool(), ragged["input_ids"], 1)
    output, mixer = plan_for(model, ragged, site, padding=padding)
    lam, partner = mixer.plan.lam.double().tolist(), mixer.plan.partner.tolist()
    mixer.detach()
    rows = [ids[mask.bool()] for ids, mask in zip(ragged["input_ids"], ragged["attention_mask"], strict=True)]
    with torch.no_grad():
        expected = reference_logits(model, rows, lam, partner, site, padding)
    torch.testing.assert_close(output.logits.detach(), expected, atol=1e-7, rtol=1e-6)
    labels, log_p = ragged["labels"].tolist(), expected.log_softmax(-1).tolist()
    losses = [-lam[i] * log_p[i][labels[i]] - (1 - lam[i]) * log_p[i][labels[partner[i]]] for i in range(len(labels))]
    assert output.loss.item() == pytest.approx(sum(losses) / len(losses), abs=1e-6)


@pytest.mark.parametrize("strategy", list(STRATEGIES))
@pytest.mark.parametrize("name", list(MODELS))
class TestPureOutsideTraining:
    def test_eval_logits_are_bit_identical(self, build: Build, ragged: Batch, name: str, strategy: str) -> None:
        model = build(name).eval()
        bare = model(**unlabelled(ragged)).logits
        with mixing(model, mix(strategy)):
            assert torch.equal(model(**ragged).logits, bare)
            assert torch.equal(model(**unlabelled(ragged)).logits, bare)

    def test_no_labels_no_chance_and_one_row_are_unmixed(
        self, build: Build, ragged: Batch, name: str, strategy: str
    ) -> None:
        model = build(name)
        bare = model(**unlabelled(ragged)).logits
        first = {key: value[:1] for key, value in ragged.items()}
        bare_first = model(**unlabelled(first)).logits
        with mixing(model, mix(strategy)) as mixer:
            assert torch.equal(model(**unlabelled(ragged)).logits, bare)
            alone = model(**first)
            assert torch.equal(alone.logits, bare_first)
            assert mixer.plan is None
        with mixing(model, mix(strategy, probability=0.0)):
            output = model(**ragged)
            assert torch.equal(output.logits, bare)
            loss = nn.functional.cross_entropy(bare, ragged["labels"])
            assert output.loss.item() == pytest.approx(loss.item(), abs=1e-12)

    def test_detach_leaves_nothing_behind(self, build: Build, ragged: Batch, name: str, strategy: str) -> None:
        model = build(name)
        before = (hooks(model), set(vars(model)), list(model.state_dict()), model.config.to_dict())
        bare = model(**unlabelled(ragged)).logits
        mixer = attach(model, mix(strategy))
        assert list(model.state_dict()) == before[2]
        model(**ragged).loss.backward()
        mixer.detach()
        assert (hooks(model), set(vars(model)), list(model.state_dict()), model.config.to_dict()) == before
        assert torch.equal(model(**unlabelled(ragged)).logits, bare)

    def test_one_forward_pass(self, build: Build, ragged: Batch, name: str, strategy: str) -> None:
        model = build(name)
        with mixing(model, mix(strategy)), counting_blocks(model) as counts:
            model(**ragged)
            assert set(counts) == {1}


@pytest.mark.parametrize("strategy", MIXING)
@pytest.mark.parametrize("name", list(MODELS))
class TestMixing:
    def test_padding_never_matters(self, build: Build, ragged: Batch, name: str, strategy: str) -> None:
        """More padding, and other ids in it, change neither logits nor loss nor any gradient but rounding."""
        model = build(name)
        wide = {key: nn.functional.pad(ragged[key], (0, 3)) for key in ("input_ids", "attention_mask")}
        other_ids = 1 if name == "roberta" else 7
        wide["input_ids"] = torch.where(wide["attention_mask"].bool(), wide["input_ids"], other_ids)
        results = []
        for batch in (ragged, {**wide, "labels": ragged["labels"]}):
            model.zero_grad()
            with mixing(model, mix(strategy, per_sample=True), seed=5):
                output = model(**batch)
                output.loss.backward()
            gradient = torch.cat([p.grad.flatten() for n, p in model.named_parameters() if "classifier" in n])
            results.append((output.logits.detach(), output.loss.detach(), gradient))
        for first, second in zip(*results, strict=True):
            torch.testing.assert_close(first, second, atol=1e-9, rtol=1e-9)

    def test_tuples_positions_and_missing_masks(self, build: Build, ragged: Batch, name: str, strategy: str) -> None:
        model = build(name)
        ids, labels = ragged["input_ids"], ragged["labels"]
        with mixing(model, mix(strategy), seed=2):
            by_name = model(input_ids=ids, attention_mask=torch.ones_like(ids), labels=labels)
        with mixing(model, mix(strategy), seed=2):
            without_mask = model(ids, labels=labels)
        assert torch.allclose(by_name.logits, without_mask.logits, atol=1e-9)
        assert torch.allclose(by_name.loss, without_mask.loss, atol=1e-9)

    def test_the_same_seed_repeats_the_same_losses(self, build: Build, ragged: Batch, name: str, strategy: str) -> None:
        model = build(name)
        runs = []
        for seed in (4, 4, 5):
            with mixing(model, mix(strategy), seed=seed):
                runs.append([model(**ragged).loss.item() for _ in range(4)])
        assert runs[0] == runs[1] != runs[2]

    def test_config_is_not_written(self, build: Build, ragged: Batch, name: str, strategy: str) -> None:
        model = build(name)
        with mixing(model, mix(strategy)):
            model(**ragged)
        assert model.config.problem_type is None

    def test_bfloat16_autocast(self, build: Build, ragged: Batch, name: str, strategy: str) -> None:
        model = build(name).float()
        with mixing(model, mix(strategy), seed=3):
            exact = model(**ragged).loss
        with mixing(model, mix(strategy), seed=3), torch.autocast("cpu", dtype=torch.bfloat16):
            loss = model(**ragged).loss
            loss.backward()
        assert loss.dtype == torch.float32
        assert loss.item() == pytest.approx(exact.item(), abs=0.05)


@given(data=st.data())
@settings(deadline=None, max_examples=60)
def test_any_batch_any_lengths_any_strategy(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 33))
    lengths = data.draw(st.lists(st.integers(1, 7), min_size=size, max_size=size))
    options = {
        "strategy": data.draw(st.sampled_from(list(STRATEGIES))),
        "lam": data.draw(st.sampled_from(["beta", "uniform", "fixed"])),
        "fold": data.draw(st.booleans()),
        "per_sample": data.draw(st.booleans()),
        "probability": data.draw(st.sampled_from([0.0, 0.5, 1.0])),
    }
    torch.manual_seed(0)
    model = MODELS[data.draw(st.sampled_from(["own-mean", "bert", "textcnn"]))]().double().train()
    mask = (torch.arange(max(lengths))[None] < torch.tensor(lengths)[:, None]).long()
    batch = {
        "input_ids": torch.randint(5, VOCAB, mask.shape) * mask,
        "attention_mask": mask,
        "labels": torch.randint(3, (size,)),
    }
    with mixing(model, seed=data.draw(st.integers(0, 2**31)), **options) as mixer:
        output = model(**batch)
        output.loss.backward()
        plan = mixer.plan
        assert math.isfinite(output.loss.item())
        assert (plan is None) or (options["strategy"] != "none" and options["probability"] > 0 and size > 1)
        if plan is not None:
            assert sorted(plan.partner.tolist()) == list(range(size))
            assert (plan.partner != torch.arange(size)).all()
            assert ((plan.lam >= (0.5 if options["fold"] else 0)) & (plan.lam <= 1)).all()
            assert options["per_sample"] or plan.lam.unique().numel() == 1
            loss = nn.functional.cross_entropy
            own = loss(output.logits, batch["labels"], reduction="none")
            other = loss(output.logits, batch["labels"][plan.partner], reduction="none")
            expected = (plan.lam * own + (1 - plan.lam) * other).mean()
            torch.testing.assert_close(output.loss, expected.double(), atol=1e-6, rtol=1e-6)
        for parameter in model.parameters():
            assert parameter.grad is None or torch.isfinite(parameter.grad).all()


class TestRandomness:
    def test_plans_come_from_seed_and_rank_alone(self, build: Build) -> None:
        def plans(seed: int, rank: int) -> list[tuple[float, list[int]]]:
            mixer = attach(build("own-mean"), MixConfig(), seed=seed, rank=rank)
            drawn = [mixer.draw(8) for _ in range(3)]
            return [(plan.lam[0].item(), plan.partner.tolist()) for plan in drawn if plan is not None]

        torch.manual_seed(1)
        first = plans(0, 0)
        torch.manual_seed(2)
        assert plans(0, 0) == first
        assert plans(0, 1) != first
        assert plans(1, 0) != first

    def test_drawing_leaves_global_generators_alone(self, build: Build) -> None:
        mixer = attach(build("own-mean"), MixConfig(per_sample=True))
        before = torch.get_rng_state()
        mixer.draw(16)
        assert torch.equal(torch.get_rng_state(), before)

    def test_a_restored_state_repeats_the_draws(self, build: Build) -> None:
        mixer = attach(build("own-mean"), MixConfig())
        mixer.draw(8)
        state = mixer.state_dict()
        ahead = [mixer.draw(8).partner.tolist() for _ in range(3)]
        other = attach(build("own-mean"), MixConfig(), seed=99)
        other.load_state_dict(state)
        assert [other.draw(8).partner.tolist() for _ in range(3)] == ahead

    def test_manifold_draws_every_site_about_equally(self, build: Build) -> None:
        mixer = attach(build("own-mean"), MixConfig(layers=[1, 3]))
        sites = [mixer.draw(2).site for _ in range(3000)]
        counts = {site: sites.count(site) for site in set(sites)}
        assert set(counts) == {"embeddings", "layer:1", "layer:3"}
        assert all(abs(count - 1000) < 150 for count in counts.values())

    def test_probability_is_the_share_of_mixed_batches(self, build: Build) -> None:
        mixer = attach(build("own-mean"), MixConfig(probability=0.25))
        mixed = sum(mixer.draw(4) is not None for _ in range(4000))
        assert mixed == pytest.approx(1000, abs=150)


class TestMetrics:
    def test_lam_weighted_accuracy_and_mean_lam(self, build: Build, ragged: Batch) -> None:
        model = build("bert")
        with mixing(model, strategy="sentence", per_sample=True) as mixer:
            predicted = model(**ragged).logits.argmax(-1)
            plan, labels = mixer.plan, ragged["labels"]
            earned = [
                plan.lam[i].item() * (predicted[i] == labels[i]).item()
                + (1 - plan.lam[i].item()) * (predicted[i] == labels[plan.partner[i]]).item()
                for i in range(len(labels))
            ]
            assert mixer.metrics["accuracy"].item() == pytest.approx(sum(earned) / len(earned), abs=1e-6)
            assert mixer.metrics["lam"].item() == pytest.approx(plan.lam.mean().item())

    def test_unmixed_batches_have_plain_accuracy(self, build: Build, ragged: Batch) -> None:
        model = build("bert")
        with mixing(model, strategy="none") as mixer:
            predicted = model(**ragged).logits.argmax(-1)
            assert mixer.metrics["accuracy"].item() == pytest.approx((predicted == ragged["labels"]).float().mean())
            assert mixer.metrics["lam"].item() == 1


class TestLabels:
    @pytest.mark.parametrize(
        ("problem_type", "labels"),
        [
            (
                "single_label_classification",
                torch.tensor([[1.0, 0, 0], [0, 0.5, 0.5], [0, 0, 1], [1, 0, 0], [0, 1, 0]]),
            ),
            ("multi_label_classification", torch.tensor([[1.0, 1, 0], [0, 0, 0], [0, 1, 1], [1, 0, 0], [1, 1, 1]])),
            ("regression", torch.randn(5, 3)),
        ],
    )
    def test_declared_kinds_are_scored_as_such(
        self, build: Build, ragged: Batch, problem_type: str, labels: torch.Tensor
    ) -> None:
        model = build("bert")
        model.config.problem_type = problem_type
        with mixing(model, strategy="sentence", per_sample=True) as mixer:
            output = model(**{**ragged, "labels": labels})
            plan = mixer.plan
        functions = {
            "single_label_classification": lambda x, y: -(y * x.log_softmax(-1)).sum(-1),
            "multi_label_classification": lambda x, y: nn.functional.binary_cross_entropy_with_logits(
                x, y, reduction="none"
            ).mean(-1),
            "regression": lambda x, y: ((x - y) ** 2).mean(-1),
        }
        score = functions[problem_type]
        own, other = score(output.logits, labels.double()), score(output.logits, labels[plan.partner].double())
        expected = (plan.lam * own + (1 - plan.lam) * other).mean()
        assert output.loss.item() == pytest.approx(expected.item(), abs=1e-6)

    def test_undeclared_float_labels_are_refused(self, build: Build, ragged: Batch) -> None:
        model = build("bert")
        with mixing(model, strategy="word"), pytest.raises(ConfigError, match="may be soft or multi-label"):
            model(**{**ragged, "labels": torch.zeros(5, 3)})

    def test_the_window_of_the_trainer_divides_the_loss(self, build: Build, ragged: Batch) -> None:
        model = build("bert")
        with mixing(model, strategy="sentence", seed=6):
            mean = model(**ragged).loss
        with mixing(model, strategy="sentence", seed=6):
            part = model(**ragged, num_items_in_batch=torch.tensor(20)).loss
        assert part.item() == pytest.approx(mean.item() * 5 / 20)


class TestLifetime:
    @pytest.mark.parametrize("strategy", MIXING)
    def test_recomputed_activations_see_the_same_plan(self, build: Build, ragged: Batch, strategy: str) -> None:
        gradients = []
        for checkpointing in (False, True):
            model = build("own-mean")
            if checkpointing:
                model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
            with mixing(model, mix(strategy), seed=7):
                for _ in range(3):
                    model(**ragged).loss.backward()
            gradients.append([p.grad for p in model.parameters() if p.grad is not None])
        for plain, recomputed in zip(*gradients, strict=True):
            torch.testing.assert_close(plain, recomputed, atol=1e-12, rtol=1e-9)

    @pytest.mark.parametrize("strategy", MIXING)
    def test_blocks_that_a_user_checkpoints_see_the_same_plan(self, build: Build, ragged: Batch, strategy: str) -> None:
        """Here the hooks run again in the backward pass, unlike under transformers' own checkpointing."""
        from torch.utils.checkpoint import checkpoint

        class Checkpointed(nn.Module):
            def __init__(self, inner: nn.Module) -> None:
                super().__init__()
                self.inner = inner

            def forward(self, *args: object, **kwargs: object) -> object:
                return checkpoint(self.inner, *args, use_reentrant=False, **kwargs)

        gradients = []
        for wrap in (False, True):
            model = build("own-mean")
            mixer = attach(model, mix(strategy), seed=7)
            if wrap:
                layers = model.encoder.encoder.layer
                for number, layer in enumerate(layers):
                    layers[number] = Checkpointed(layer)
            for _ in range(3):
                model(**ragged).loss.backward()
            mixer.detach()
            gradients.append([p.grad for p in model.parameters() if p.grad is not None])
        for plain, recomputed in zip(*gradients, strict=True):
            torch.testing.assert_close(plain, recomputed, atol=1e-12, rtol=1e-9)

    def test_an_encoder_called_on_its_own_is_not_mixed(self, build: Build, ragged: Batch) -> None:
        model = build("own-mean")
        inputs = unlabelled(ragged)
        bare = model.encoder(**inputs).last_hidden_state
        with mixing(model, strategy="word"):
            model(**ragged)
            assert torch.equal(model.encoder(**inputs).last_hidden_state, bare)

    def test_an_exception_in_the_block_detaches(self, build: Build, ragged: Batch) -> None:
        model = build("bert")
        before = hooks(model)
        model.register_forward_hook(lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError), mixing(model, strategy="manifold"):
            model(**ragged)
        before += 1  # the failing hook itself
        assert hooks(model) == before
        assert "mixer" not in vars(model)

    def test_a_failed_forward_leaves_the_next_one_right(self, build: Build, ragged: Batch) -> None:
        model = build("bert")
        bare = model(**unlabelled(ragged)).logits
        with mixing(model, strategy="word"):
            with pytest.raises(IndexError):
                model(**{**ragged, "input_ids": ragged["input_ids"] + VOCAB})
            assert torch.equal(model(**unlabelled(ragged)).logits, bare)

    def test_a_tuple_output_starts_with_the_loss(self, build: Build, ragged: Batch) -> None:
        model = build("bert")
        with mixing(model, strategy="sentence", seed=8):
            output = model(**ragged)
        with mixing(model, strategy="sentence", seed=8):
            loss, logits = model(**ragged, return_dict=False)
        assert loss.item() == output.loss.item()
        assert torch.equal(logits, output.logits)
        assert output[0].item() == output.loss.item()

    def test_the_caller_s_mask_is_not_changed(self, build: Build, ragged: Batch) -> None:
        model, mask = build("own-mean"), ragged["attention_mask"].clone()
        with mixing(model, strategy="manifold"):
            for _ in range(6):
                model(**ragged)
        assert torch.equal(ragged["attention_mask"], mask)

    @pytest.mark.parametrize("strategy", MIXING)
    def test_a_copied_model_has_a_mixer_of_its_own(self, build: Build, ragged: Batch, strategy: str) -> None:
        model = build("own-mean")
        attach(model, mix(strategy), seed=1)
        twin = copy.deepcopy(model)
        for _ in range(4):
            first, second = model(**ragged), twin(**ragged)
            assert torch.equal(first.logits, second.logits)
            assert first.loss.item() == second.loss.item()
        twin.mixer.detach()
        assert hooks(twin) == hooks(build("own-mean"))
        assert model.mixer.plan is not None

    def test_inputs_embeds(self, build: Build, ragged: Batch) -> None:
        for name in ("own-mean", "textcnn"):
            model = build(name)
            embeds = model.get_input_embeddings()(ragged["input_ids"])
            with mixing(model, strategy="word", seed=1):
                by_ids = model(**ragged)
            rest = {key: ragged[key] for key in ("attention_mask", "labels")}
            with mixing(model, strategy="word", seed=1):
                by_embeds = model(inputs_embeds=embeds, **rest)
            assert torch.allclose(by_ids.logits, by_embeds.logits)


class TestErrors:
    def test_a_second_mixer_is_refused(self, build: Build) -> None:
        model = build("bert")
        attach(model, MixConfig())
        with pytest.raises(ModelError, match="has a mixer attached already"):
            attach(model, MixConfig())

    def test_a_missing_site_names_those_there_are(self, build: Build) -> None:
        model = build("textcnn")
        with pytest.raises(ModelError, match=r"no site layer:2 .* offers embeddings, layer:1, pooled"):
            attach(model, MixConfig(layers=[1, 2]))
        assert hooks(model) == hooks(build("textcnn"))

    def test_a_model_without_sites_is_refused(self) -> None:
        with pytest.raises(ModelError, match="Sequential offers no site"):
            attach(nn.Sequential(nn.Linear(3, 3)), MixConfig())

    def test_a_ready_made_four_dimensional_mask_is_refused(self, build: Build, ragged: Batch) -> None:
        model = build("bert")
        mask = torch.ones(5, 1, 9, 9)
        with mixing(model, strategy="word"), pytest.raises(ConfigError, match=r"shape \(B, L\), not \(5, 1, 9, 9\)"):
            model(**{**ragged, "attention_mask": mask})

    def test_a_wrapped_model_is_named(self, build: Build) -> None:
        with pytest.raises(ModelError, match="DataParallel wraps a model: attach to the model itself"):
            attach(nn.DataParallel(build("bert")), MixConfig())

    @pytest.mark.parametrize("strategy", MIXING)
    def test_what_would_be_mixed_wrongly_is_refused(self, strategy: str) -> None:
        """Pooling behind the classifier, a decoder, the batch in the second dimension, blocks that are never called."""
        from transformers import (
            BartConfig,
            BartForSequenceClassification,
            FunnelConfig,
            FunnelForSequenceClassification,
            GPT2Config,
            GPT2ForSequenceClassification,
            XLNetConfig,
            XLNetForSequenceClassification,
        )

        small = {"vocab_size": VOCAB, "num_labels": 3}
        models = [
            GPT2ForSequenceClassification(GPT2Config(n_embd=8, n_layer=2, n_head=2, pad_token_id=0, **small)),
            BartForSequenceClassification(
                BartConfig(
                    d_model=8,
                    encoder_layers=1,
                    decoder_layers=1,
                    encoder_attention_heads=2,
                    decoder_attention_heads=2,
                    encoder_ffn_dim=8,
                    decoder_ffn_dim=8,
                    **small,
                )
            ),
        ]
        if strategy != "sentence":
            models.append(
                XLNetForSequenceClassification(XLNetConfig(d_model=8, n_layer=2, n_head=2, d_inner=8, **small))
            )
            funnel = {"block_sizes": [1, 1], "d_model": 8, "n_head": 2, "d_head": 4, "d_inner": 8}
            models.append(FunnelForSequenceClassification(FunnelConfig(**funnel, **small)))
        ids = torch.randint(5, VOCAB, (4, 4))
        for model in models:
            with pytest.raises(ModelError), mixing(model.train(), strategy=strategy):  # noqa: PT012
                for _ in range(8):
                    model(input_ids=ids, attention_mask=torch.ones_like(ids), labels=torch.tensor([0, 1, 2, 0]))
