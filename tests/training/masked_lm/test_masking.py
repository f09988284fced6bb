import torch

from textmix.training.masked_lm.masking import mask_words

MASK_ID, VOCAB = 4, 1000


def a_batch() -> tuple[torch.Tensor, torch.Tensor]:
    """400 rows of 12 tokens: a special one, four words of 1, 2, 3 and 4 tokens, another special one."""
    words = torch.tensor([-1, 0, 1, 1, 2, 2, 2, 3, 3, 3, 3, -1]).expand(400, -1)
    return torch.randint(5, VOCAB, words.shape, generator=torch.Generator().manual_seed(1)), words


def test_words_are_chosen_whole_and_special_tokens_never() -> None:
    ids, words = a_batch()
    masked, chosen = mask_words(ids, words, 0.3, MASK_ID, VOCAB, torch.Generator().manual_seed(0))
    for row, of_words in zip(chosen.tolist(), words.tolist(), strict=True):
        for word in set(of_words):
            fates = {is_chosen for is_chosen, of in zip(row, of_words, strict=True) if of == word}
            assert len(fates) == 1
            assert word >= 0 or fates == {False}
    assert torch.equal(masked[~chosen], ids[~chosen])
    share = chosen[words >= 0].float().mean()
    assert 0.26 < share < 0.34


def test_words_of_a_row_are_independent() -> None:
    ids, words = a_batch()
    chosen = mask_words(ids, words, 0.5, MASK_ID, VOCAB, torch.Generator().manual_seed(0)).chosen
    first, last = chosen[:, 1], chosen[:, 10]
    assert 0.18 < (first & last).float().mean() < 0.32


def test_of_ten_tokens_eight_are_masked_one_replaced_one_kept() -> None:
    ids, words = a_batch()
    masked, chosen = mask_words(ids, words, 0.9, MASK_ID, VOCAB, torch.Generator().manual_seed(0))
    is_mask, is_kept = masked[chosen] == MASK_ID, masked[chosen] == ids[chosen]
    assert abs(is_mask.float().mean() - 0.8) < 0.03
    assert abs(is_kept.float().mean() - 0.1) < 0.03
    assert len(masked[chosen][~is_mask & ~is_kept].unique()) > 100  # drawn from the whole vocabulary


def test_the_generator_alone_decides() -> None:
    ids, words = a_batch()
    first, again, other = (
        mask_words(ids, words, 0.15, MASK_ID, VOCAB, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)
    )
    assert torch.equal(first.input_ids, again.input_ids)
    assert not torch.equal(first.input_ids, other.input_ids)
