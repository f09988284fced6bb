"""Mixing beside what else people do to a model: attention kernels, checkpointing, precision, adapters, accumulation."""

import copy
from typing import Any, ClassVar

import peft
import pytest
import torch
import transformers as hf
from torch import Tensor, nn
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper
from transformers.modeling_outputs import SequenceClassifierOutput
from transformers.models.bert import modeling_bert

from tests.support.batches import Batch, ragged_batch
from tests.support.counting import hooks
from tests.support.families import fresh
from tests.support.family_configs import BERT_LIKE, LLAMA_LIKE, VOCAB
from tests.support.strategies import mix
from textmix.errors import ConfigError, ModelError
from textmix.hooks.attach import attach

pytestmark = pytest.mark.filterwarnings("ignore:.*:FutureWarning", "ignore:.*use_reentrant.*:UserWarning")

SITES = {
    "tokens": mix("cutmix"),
    "embeddings": mix("word", per_sample=True),
    "layers": mix("manifold", per_sample=True),
    "pooled": mix("sentence", per_sample=True),
}


@pytest.fixture
def batch() -> Batch:
    """Rows padded with the id 0, as most families do."""
    return ragged_batch(pad=0)


def train(model: nn.Module, batch: Batch, config: Any, steps: int = 4) -> tuple[list[float], list[Tensor]]:
    """Losses and gradients of a few steps from the same seed."""
    model.zero_grad()
    losses = []
    with attach(model, config, seed=3):
        for _ in range(steps):
            loss = model(**batch).loss
            loss.backward()
            losses.append(loss.item())
    return losses, [p.grad.clone() for p in model.parameters() if p.grad is not None]


def assert_same(
    first: tuple[list[float], list[Tensor]], second: tuple[list[float], list[Tensor]], atol: float = 1e-9
) -> None:
    assert first[0] == pytest.approx(second[0], abs=atol)
    for one, other in zip(first[1], second[1], strict=True):
        torch.testing.assert_close(one, other, atol=atol, rtol=1e-7)


def each_at_layers_and(*names: str) -> list[tuple[str, str]]:
    """Pair each family with the layers and one other site, so that each site meets several families."""
    others = [site for site in SITES if site != "layers"]
    return [(name, site) for i, name in enumerate(names) for site in ("layers", others[i % len(others)])]


class TestAttention:
    @pytest.mark.parametrize(
        ("name", "site"),
        each_at_layers_and(
            "BERT", "DistilBERT", "ALBERT", "ModernBERT", "GPT-2", "Llama", "T5 encoder, linear head", "XLM-R"
        ),
    )
    def test_eager_and_sdpa_agree(self, batch: Batch, name: str, site: str) -> None:
        results = []
        for implementation in ("eager", "sdpa"):
            model = fresh(name).float()  # some eager kernels take the softmax in float32 whatever they are given
            model.set_attn_implementation(implementation)
            results.append(train(model, batch, SITES[site]))
        assert_same(*results, atol=1e-5)

    @pytest.mark.parametrize("site", list(SITES))
    def test_a_kernel_that_takes_the_mask_as_it_is(
        self, batch: Batch, site: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Blocks get the very mask (B, L) that the model got, which becomes the union while the model runs."""

        def attend(
            module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor, **kwargs: Any
        ) -> tuple[Tensor, None]:
            assert attention_mask.dim() == 2
            mask = attention_mask[:, None, None, :].bool()
            out = nn.functional.scaled_dot_product_attention(query, key, value, mask)
            return out.transpose(1, 2).contiguous(), None

        def keep(attention_mask: Tensor, **kwargs: Any) -> Tensor:
            return attention_mask

        if not hasattr(modeling_bert, "create_bidirectional_mask"):
            pytest.skip("this version of transformers gives every kernel a mask for each pair of positions")
        model = fresh("BERT")
        expected = train(model, batch, SITES[site], steps=8)
        hf.AttentionInterface.register("as-it-is", attend)
        model.set_attn_implementation("as-it-is")
        monkeypatch.setattr(modeling_bert, "create_bidirectional_mask", keep)
        assert_same(train(model, batch, SITES[site], steps=8), expected)


@pytest.mark.parametrize("name", ["DeBERTa-v2", "DeBERTa-v2 with convolution", "XLNet", "BERT"])
@pytest.mark.parametrize("dtype", [torch.bool, torch.float64])
def test_masks_of_any_type_are_united_alike(batch: Batch, name: str, dtype: torch.dtype) -> None:
    if dtype == torch.bool and name in ("DeBERTa-v2 with convolution", "XLNet"):
        plain = {key: batch[key] for key in ("input_ids", "attention_mask")}
        with pytest.raises(RuntimeError, match="bool"):  # they subtract masks; mixing makes up for it
            fresh(name)(**{**plain, "attention_mask": plain["attention_mask"].bool()})
    given = {**batch, "attention_mask": batch["attention_mask"].to(dtype)}
    for config in (SITES["embeddings"], SITES["layers"]):
        assert_same(train(fresh(name), given, config), train(fresh(name), batch, config))


class TestCheckpointing:
    @pytest.mark.parametrize("reentrant", [False, True])
    @pytest.mark.parametrize(
        "name",
        ["BERT", "ELECTRA", "DeBERTa-v2 with convolution", "ModernBERT", "GPT-2", "Llama", "T5 encoder, linear head"],
    )
    def test_transformers_own(self, batch: Batch, name: str, reentrant: bool) -> None:
        for config in [SITES["embeddings"], SITES["layers"]] if reentrant else SITES.values():
            plain = train(fresh(name), batch, config)
            model = fresh(name)
            model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": reentrant})
            assert_same(train(model, batch, config), plain)

    @pytest.mark.parametrize("site", ["embeddings", "layers"])
    def test_each_of_several_forward_passes_is_recomputed_as_it_was(self, batch: Batch, site: str) -> None:
        gradients = []
        for wrapped in (False, True):
            model = fresh("BERT")
            with attach(model, SITES[site], seed=3):
                if wrapped:
                    layers = model.bert.encoder.layer
                    for number, block in enumerate(layers):
                        layers[number] = checkpoint_wrapper(block)
                losses = [model(**batch).loss for _ in range(6)]
                model.eval()(**batch)  # nothing is mixed here
                sum(losses).backward()
            gradients.append([p.grad for p in model.parameters() if p.grad is not None])
        for one, other in zip(*gradients, strict=True):
            torch.testing.assert_close(one, other, atol=1e-9, rtol=1e-7)

    def test_shared_blocks_that_a_user_checkpoints_are_refused(self, batch: Batch) -> None:
        """Transformers has no checkpointing for ALBERT; a recomputed call does not say which of the three it was."""
        model = fresh("ALBERT")
        group = model.albert.encoder.albert_layer_groups[0]

        class Checkpointed(nn.Module):
            def forward(self, *args: Any, **kwargs: Any) -> Any:
                return torch.utils.checkpoint.checkpoint(group, *args, use_reentrant=False, **kwargs)

        with attach(model, mix("word")):
            model.albert.encoder.albert_layer_groups[0] = Checkpointed()
            loss = model(**batch).loss
            with pytest.raises(ModelError, match="shares blocks, so recomputed activations cannot be assigned"):
                loss.backward()


@pytest.mark.parametrize(
    ("name", "site"),
    each_at_layers_and(
        "BERT", "ALBERT", "DeBERTa-v2", "XLNet", "ModernBERT", "GPT-2", "Llama", "T5 encoder, linear head"
    ),
)
def test_bfloat16_autocast(batch: Batch, name: str, site: str) -> None:
    model = fresh(name).float()
    exact = train(model, batch, SITES[site], steps=2)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        if not torch.isfinite(model(**batch).loss):
            pytest.skip("this version of transformers gives NaN for padding far behind a text, without mixing, too")
        rounded = train(model, batch, SITES[site], steps=2)
    assert rounded[0] == pytest.approx(exact[0], abs=0.05)
    assert all(torch.isfinite(gradient).all() for gradient in rounded[1])


class TestAdapters:
    TARGETS: ClassVar = {
        "BERT": ["query", "classifier"],
        "Llama": ["q_proj", "score"],
        "T5 encoder, linear head": ["q"],
    }

    @pytest.mark.parametrize("kind", ["classifier trained", "classifier adapted"])
    @pytest.mark.parametrize(("name", "site"), each_at_layers_and(*TARGETS))
    def test_lora(self, batch: Batch, name: str, kind: str, site: str) -> None:
        targets = self.TARGETS[name]
        bare = fresh(name)
        config = SITES[site]
        expected = train(copy.deepcopy(bare), batch, config)[0]
        if kind == "classifier trained":
            targets = [target for target in targets if target not in ("classifier", "score")]
            adapters = peft.LoraConfig(task_type="SEQ_CLS", r=2, target_modules=targets)
        else:
            adapters = peft.LoraConfig(r=2, target_modules=targets)
        model = peft.get_peft_model(bare, adapters)
        before = (hooks(model), set(vars(model)), list(model.state_dict()))
        losses, _ = train(model, batch, config)
        # Fresh adapters change nothing: the mixed losses are those of the model without them.
        assert losses == pytest.approx(expected, abs=1e-6)
        trained = {key for key, parameter in model.named_parameters() if parameter.grad is not None}
        assert trained == {key for key, parameter in model.named_parameters() if parameter.requires_grad}
        grown = [p.grad.abs().sum() for key, p in model.named_parameters() if "lora_B" in key]
        assert all(gradient > 0 for gradient in grown)
        assert (hooks(model), set(vars(model)), list(model.state_dict())) == before


class TestAccumulation:
    def batch_of(self, size: int) -> Batch:
        generator = torch.Generator().manual_seed(6)
        lengths = torch.randint(2, 9, (size,), generator=generator)
        mask = (torch.arange(8)[None] < lengths[:, None]).long()
        ids = torch.randint(5, VOCAB, mask.shape, generator=generator) * mask
        return {"input_ids": ids, "attention_mask": mask, "labels": torch.randint(3, (size,), generator=generator)}

    def parts(self, whole: Batch) -> list[Batch]:
        return [{name: value[i : i + 8] for name, value in whole.items()} for i in range(0, 32, 8)]

    @pytest.mark.parametrize("kind", ["integer", "tokens"])
    def test_four_parts_of_8_train_like_one_of_32_when_mixing_is_off(self, kind: str) -> None:
        whole, model = self.batch_of(32), fresh("BERT", kind)
        count = torch.tensor(32)
        if kind == "tokens":
            whole["labels"] = torch.where(whole["attention_mask"].bool(), whole["input_ids"] % 3, -100)
            count = (whole["labels"] != -100).sum()
        with attach(model, strategy="none"):
            total = model(**whole).loss
            total.backward()
            expected = [p.grad.clone() for p in model.parameters() if p.grad is not None]
            model.zero_grad()
            losses = [model(**part, num_items_in_batch=count).loss for part in self.parts(whole)]
            sum(losses).backward()
        assert sum(losses).item() == pytest.approx(total.item(), abs=1e-12)
        gradients = [p.grad for p in model.parameters() if p.grad is not None]
        for one, other in zip(gradients, expected, strict=True):
            torch.testing.assert_close(one, other, atol=1e-12, rtol=1e-9)

    def test_each_part_is_mixed_by_a_plan_of_its_own(self) -> None:
        whole, model, plans, losses = self.batch_of(32), fresh("BERT"), [], []
        with attach(model, strategy="word", seed=2) as mixer:
            for part in self.parts(whole):
                losses.append(model(**part, num_items_in_batch=torch.tensor(32)).loss.item())
                plans.append(mixer.plan)
        assert len({plan.lam[0].item() for plan in plans}) == 4
        assert all(plan.rows.shape == (8, 2) for plan in plans)
        with attach(model, strategy="word", seed=2):
            means = [model(**part).loss.item() for part in self.parts(whole)]
        assert losses == pytest.approx([mean / 4 for mean in means])


class TestPoolingBehindTheClassifier:
    def test_a_model_that_pools_elsewhere_is_refused(self, batch: Batch) -> None:
        class PoolsFirst(hf.LlamaForSequenceClassification):
            def forward(self, input_ids: Tensor, attention_mask: Tensor, **kwargs: Any) -> SequenceClassifierOutput:
                hidden = self.model(input_ids, attention_mask=attention_mask).last_hidden_state
                return SequenceClassifierOutput(logits=self.score(hidden)[:, 0])

        model = PoolsFirst(hf.LlamaConfig(**LLAMA_LIKE, num_labels=3)).train()
        for strategy in ("word", "sentence"):
            message = "last token of each row.* at tokens only"
            with pytest.raises(ModelError, match=message), attach(model, strategy=strategy):
                model(**batch)
        with attach(model, mix("cutmix")):
            model(**batch).loss.backward()

    @pytest.mark.parametrize("name", ["GPT-2", "Llama"])
    def test_without_ids_it_is_where_the_model_itself_pools(self, batch: Batch, name: str) -> None:
        model = fresh(name)
        inputs = {
            "inputs_embeds": model.get_input_embeddings()(batch["input_ids"]),
            "attention_mask": batch["attention_mask"],
        }
        bare = model(**inputs).logits
        with attach(model, strategy="sentence", lam="fixed", lam_value=1.0):
            assert torch.allclose(model(**inputs, labels=batch["labels"]).logits, bare, atol=1e-12)


def test_a_compiled_model_is_not_attached_to() -> None:
    compiled = torch.compile(fresh("BERT"), backend="eager")
    with pytest.raises(ModelError, match="is compiled: attach to the model itself before compiling it"):
        attach(compiled, mix("word"))


SMALL_DECODERS = {
    "MPT": hf.MptConfig(d_model=16, n_heads=2, n_layers=3, max_seq_len=32, expansion_ratio=2, vocab_size=VOCAB),
    "GPT": hf.OpenAIGPTConfig(n_embd=16, n_head=2, n_layer=3, n_positions=32, vocab_size=VOCAB),
    "BLOOM": hf.BloomConfig(hidden_size=16, n_head=2, n_layer=3, vocab_size=VOCAB),
}


def decoder(name: str) -> hf.PreTrainedModel:
    torch.manual_seed(0)
    config = copy.deepcopy(SMALL_DECODERS[name])
    config.num_labels, config.pad_token_id = 3, 0
    return hf.AutoModelForSequenceClassification.from_config(config).double().train()


def short_and_long() -> Batch:
    ids, mask = torch.randint(5, VOCAB, (2, 8)), torch.ones(2, 8, dtype=torch.long)
    ids[0, 4:] = mask[0, 4:] = 0
    return {"input_ids": ids, "attention_mask": mask}


def until_behind_a_block(model: nn.Module, batch: Batch) -> None:
    """The site is drawn anew each time."""
    for _ in range(20):
        model(**batch)


class TestOtherDecoders:
    @pytest.mark.parametrize("lam", [0.0, 1.0])
    @pytest.mark.parametrize("name", ["MPT", "GPT"])
    def test_where_one_row_weighs_all_it_is_computed_as_if_alone(self, name: str, lam: float) -> None:
        model, batch = decoder(name).float(), short_and_long()  # older versions of transformers mask MPT in float32
        for module in model.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
        clean = model(**batch).logits
        config = mix("manifold", lam="fixed", lam_value=lam)
        seen = set()
        with attach(model, config):
            for _ in range(20):
                logits = model(**batch, labels=torch.tensor([0, 1])).logits
                # The long row, wherever it is: the union of both masks is its own.
                torch.testing.assert_close(logits[int(lam)], clean[1], atol=1e-5, rtol=1e-4)
                seen.add(model.mixer.plan.site)
        assert seen == {"embeddings", "layer:1", "layer:2", "layer:3"}

    @pytest.mark.parametrize("left", [False, True])
    @pytest.mark.parametrize("lam", [0.0, 1.0])
    def test_position_biases_are_those_of_the_united_rows(self, lam: float, left: bool) -> None:
        model, batch = (
            decoder("BLOOM").float(),
            short_and_long(),
        )  # in float64 it is not finite with padding on the left
        if left:
            batch = {name: torch.stack([value[0].roll(4), value[1]]) for name, value in batch.items()}
        clean, seen = model(**batch).logits, set()
        with attach(model, mix("manifold", lam="fixed", lam_value=lam)) as mixer:
            for _ in range(20):
                logits = model(**batch, labels=torch.tensor([0, 1])).logits
                torch.testing.assert_close(logits[int(lam)], clean[1], atol=1e-5, rtol=1e-4)
                seen.add(mixer.plan.site)
        assert seen == {"embeddings", "layer:1", "layer:2", "layer:3"}

    def test_the_masks_of_block_sparse_attention_are_refused_at_every_site(self) -> None:
        config = hf.BigBirdConfig(**BERT_LIKE, block_size=1, num_random_blocks=1, num_labels=3)
        model = hf.BigBirdForSequenceClassification(config).train()
        ids = torch.randint(5, VOCAB, (2, 16))
        batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": torch.tensor([0, 1])}
        with attach(model, mix("word")):
            model(**batch).loss.backward()
        message = "gives its blocks a band_mask, which cannot be united for two rows"
        for layer in (1, 2, 3):
            with attach(model, mix("manifold", manifold={"layers": [layer]})), pytest.raises(ModelError, match=message):
                model(**batch)


def test_a_mask_that_is_no_tensor_is_refused(batch: Batch) -> None:
    model = fresh("BERT")

    class BlockMask:
        """As flex attention has one."""

    def give(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        return ((args[0], BlockMask(), *args[2:]) if model.mixer.plan.site == "layer:1" else args), kwargs

    model.bert.encoder.layer[2].register_forward_pre_hook(give, with_kwargs=True)
    message = "gives its blocks a BlockMask, .*attn_implementation='sdpa'"
    with attach(model, mix("manifold", manifold={"layers": [1]})), pytest.raises(ModelError, match=message):
        until_behind_a_block(model, batch)


@pytest.mark.parametrize("name", ["TextCNN", "TextRNN", "FastText"])
@pytest.mark.parametrize("config", [mix("word"), mix("sentence", regmix=1.0), mix("cutmix")])
def test_a_batch_of_empty_texts_is_not_mixed(name: str, config: Any) -> None:
    model = fresh(name)
    nothing = torch.zeros(3, 0, dtype=torch.long)
    with attach(model, config):
        loss = model(input_ids=nothing, attention_mask=nothing, labels=torch.tensor([0, 1, 2])).loss
        assert model.mixer.plan is None
    assert loss.isfinite()


def test_class_counts_must_be_those_of_the_model_s_classes() -> None:
    with pytest.raises(ConfigError, match=r"class_counts has 2 numbers for the \d classes LABEL_0, "):
        attach(fresh("BERT"), mix("word", targets="remix", class_counts=[10, 20]))
