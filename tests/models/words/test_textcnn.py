import torch

from textmix import TextCNN, TextCNNConfig


def test_every_position_is_a_centre_of_every_kernel() -> None:
    """With one feature that fires on a single token, the pooled feature is the same wherever the token stands."""
    sizes = {"vocab_size": 30, "embedding_dim": 2, "num_filters": 1, "kernel_sizes": [3]}
    model = TextCNN(TextCNNConfig(num_labels=3, **sizes)).eval()
    with torch.no_grad():
        model.embeddings.weight.zero_()
        model.embeddings.weight[9] = torch.tensor([1.0, 0.0])
        model.blocks[0].convolutions[0].weight.zero_()
        model.blocks[0].convolutions[0].weight[0, 0, 1] = 1
        model.blocks[0].convolutions[0].bias.zero_()
    for position in range(6):
        ids = torch.full((1, 6), 4)
        ids[0, position] = 9
        features = model.blocks[0](model.embeddings(ids), torch.ones(1, 6))
        assert features.flatten().tolist() == [float(t == position) for t in range(6)]


def test_padding_never_reaches_the_max_pool() -> None:
    """Not even where the features of padding alone would be the largest."""
    sizes = {"vocab_size": 30, "embedding_dim": 6, "num_filters": 5}
    model = TextCNN(TextCNNConfig(num_labels=3, **sizes)).eval().double()
    with torch.no_grad():
        for convolution in model.blocks[0].convolutions:
            convolution.bias.fill_(5.0)
    for length in (1, 2, 3, 7):
        ids = torch.arange(3, 3 + length)[None]
        alone = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
        for extra in (1, 4, 9):
            wide = torch.nn.functional.pad(ids, (0, extra), value=17)
            mask = torch.nn.functional.pad(torch.ones_like(ids), (0, extra))
            torch.testing.assert_close(model(input_ids=wide, attention_mask=mask).logits, alone)
