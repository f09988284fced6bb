import pytest
import torch

from textmix import FastText, FastTextConfig

SIZES = {"vocab_size": 30, "embedding_dim": 6, "num_labels": 3}


def test_logits_are_a_linear_map_of_the_mean_vector() -> None:
    model = FastText(FastTextConfig(**SIZES))
    mean = sum(model.embeddings.weight[number] for number in (3, 9, 9, 5)) / 4
    torch.testing.assert_close(
        model(input_ids=torch.tensor([[3, 9, 9, 5]])).logits[0], model.classifier.weight @ mean + model.classifier.bias
    )


@pytest.mark.parametrize("ngrams", [2, 3])
def test_the_order_of_words_matters_only_with_n_grams(ngrams: int) -> None:
    orders = torch.tensor([[3, 9, 7, 5], [9, 3, 7, 5]])
    words, both = FastText(FastTextConfig(**SIZES)), FastText(FastTextConfig(ngrams=ngrams, **SIZES))
    torch.nn.init.normal_(both.embeddings.ngrams.weight)
    torch.testing.assert_close(*words(input_ids=orders).logits)
    assert not torch.allclose(*both(input_ids=orders).logits)


def test_each_n_gram_has_one_vector_wherever_it_stands() -> None:
    """Against a dictionary from tuples of ids to vectors."""
    table = FastText(FastTextConfig(ngrams=3, buckets=10_000, **SIZES)).embeddings
    torch.nn.init.normal_(table.ngrams.weight[1:].data)
    seen: dict[tuple[int, ...], torch.Tensor] = {}
    for length in (2, 3):
        for row in torch.randint(3, 9, (40, length), generator=torch.Generator().manual_seed(length)):
            inner = seen.get(tuple(row[1:].tolist()), torch.zeros(6)) if length == 3 else torch.zeros(6)
            if length == 3 and tuple(row[1:].tolist()) not in seen:
                continue
            seen[tuple(row.tolist())] = table(row[None])[0, -1] - table.weight[row[-1]] - inner
    text = torch.randint(3, 9, (60,), generator=torch.Generator().manual_seed(9))
    vectors = table(text[None])[0]
    checked = 0
    for t in range(2, len(text)):
        grams = [tuple(text[t - n : t + 1].tolist()) for n in (1, 2)]
        if all(gram in seen for gram in grams):
            expected = table.weight[text[t]] + sum(seen[gram] for gram in grams)
            torch.testing.assert_close(vectors[t], expected, atol=1e-5, rtol=1e-5)
            checked += 1
    assert checked > 5
    assert len({tuple(vector.tolist()) for gram, vector in seen.items()}) > 0.9 * len(seen)


def test_no_n_gram_reaches_over_padding() -> None:
    table = FastText(FastTextConfig(ngrams=2, buckets=50, **SIZES)).embeddings
    torch.nn.init.normal_(table.ngrams.weight[1:].data)
    assert torch.equal(table(torch.tensor([[5, 0, 7, 8]]))[0, :3], table.weight[[5, 0, 7]])
    assert not torch.equal(table(torch.tensor([[5, 0, 7, 8]]))[0, 3], table.weight[8])


def test_n_grams_say_nothing_at_first_and_are_trained_though_words_are_static() -> None:
    model = FastText(FastTextConfig(ngrams=2, buckets=50, static_embeddings=True, **SIZES))
    assert not model.embeddings.ngrams.weight.any()
    model(input_ids=torch.tensor([[3, 4], [5, 6]]), labels=torch.tensor([0, 1])).loss.backward()
    assert model.embeddings.ngrams.weight.grad.any()
    assert model.embeddings.weight.grad is None
