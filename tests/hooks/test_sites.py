import pytest
import torch
from torch import nn
from transformers import BertConfig, PreTrainedModel

from tests.support.family_configs import BERT_LIKE
from textmix.hooks.attach import attach
from textmix.hooks.blocks import hidden_of
from textmix.hooks.sites import find_sites, hidden_size, pad_token_id


class Layer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.map = nn.Linear(16, 16)

    def forward(self, hidden_states: torch.Tensor, attention_mask: torch.Tensor | None = None) -> torch.Tensor:
        mixed = self.map(hidden_states)
        if attention_mask is None:
            return hidden_states + mixed
        weights = attention_mask.unsqueeze(-1).to(mixed.dtype)
        return hidden_states + (weights * mixed).sum(dim=1, keepdim=True) / weights.sum(dim=1, keepdim=True)


class Homemade(PreTrainedModel):
    """Gives its blocks everything by keyword; has a list of other things in front of them."""

    config_class = BertConfig

    def __init__(self, config: BertConfig, classifier: bool = True) -> None:
        super().__init__(config)
        self.odds_and_ends = nn.ModuleList([Layer(), nn.ReLU(), nn.ReLU()])
        self.short = nn.ModuleList([Layer()])
        self.table = nn.Embedding(config.vocab_size, 16)
        self.layers = nn.ModuleList([Layer() for _ in range(3)])
        self.classifier = nn.Linear(16, config.num_labels if classifier else 7)
        self.post_init()

    def get_input_embeddings(self) -> nn.Embedding:
        return self.table

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        given: bool = True,
    ) -> tuple[torch.Tensor, ...]:
        hidden = self.table(input_ids)
        for block in self.layers:
            hidden = block(attention_mask=attention_mask if given else None, hidden_states=hidden)
        return (self.classifier(hidden[:, 0]),)


@pytest.fixture
def model() -> Homemade:
    torch.manual_seed(0)
    return Homemade(BertConfig(**BERT_LIKE, num_labels=3)).double().train()


def test_blocks_are_the_list_of_equal_modules_as_long_as_the_config_says(model: Homemade) -> None:
    sites = find_sites(model)
    assert [block.module for block in sites.blocks] == list(model.layers)
    assert sites.classifier is model.classifier
    assert sites.names == ("tokens", "embeddings", "layer:1", "layer:2", "layer:3", "pooled")
    assert set(sites.siblings) == {model.odds_and_ends, model.short, model.table, model.classifier}
    without = find_sites(Homemade(BertConfig(**BERT_LIKE, num_labels=3), classifier=False))
    assert without.classifier is None
    assert without.names == ("tokens", "embeddings", "layer:1", "layer:2", "layer:3")


@pytest.mark.parametrize("site", [0, 1, 2])
@pytest.mark.parametrize("given", [True, False])
def test_a_homemade_model_that_calls_by_keyword(model: Homemade, site: int, given: bool) -> None:
    ids = torch.randint(5, 60, (4, 6), generator=torch.Generator().manual_seed(1))
    mask = (torch.arange(6)[None] < torch.tensor([6, 3, 5, 2])[:, None]).long()
    labels = torch.tensor([0, 1, 2, 1])
    options = {"strategy": "word"} if site == 0 else {"strategy": "manifold", "manifold": {"layers": [site]}}
    with attach(model, per_sample=True, seed=1, **options) as mixer:
        while mixer.plan is None or mixer.plan.site != ("embeddings", "layer:1", "layer:2")[site]:
            loss, logits = model(ids, mask, labels=labels, given=given)
        plan = mixer.plan
    for i in range(4):
        rows = []
        for row in (i, int(plan.partner[i])):
            hidden = model.table(ids[row, : mask[row].sum()])[None]
            for block in model.layers[:site]:
                hidden = block(hidden, mask[row : row + 1, : hidden.shape[1]] if given else None)
            rows.append(nn.functional.pad(hidden, (0, 0, 0, 6 - hidden.shape[1])))
        lam = plan.lam[i].item()
        mixed = lam * rows[0] + (1 - lam) * rows[1]
        length = max(mask[i].sum(), mask[plan.partner[i]].sum())
        for block in model.layers[site:]:
            mixed = block(mixed[:, :length], torch.ones(1, int(length)) if given else None)
        torch.testing.assert_close(logits[i], model.classifier(mixed[0, 0]), atol=1e-6, rtol=1e-6)
    assert loss.requires_grad


def test_what_a_configuration_says(model: Homemade) -> None:
    assert hidden_size(model) == 16
    assert pad_token_id(model) == 0
    assert hidden_size(nn.Linear(2, 2)) is None
    assert pad_token_id(nn.Linear(2, 2)) is None
    tensor = torch.zeros(1)
    assert hidden_of(tensor) is hidden_of((tensor, None)) is tensor
