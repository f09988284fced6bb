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


def convolve(convolution: torch.nn.Conv1d, row: list[torch.Tensor]) -> torch.Tensor:
    """Slide a kernel over a row, one window at a time, (L, E) to (L, filters)."""
    size = convolution.kernel_size[0]
    before, features = (size - 1) // 2, []
    for t in range(len(row)):
        value = convolution.bias.clone()
        for k in range(size):
            if 0 <= t - before + k < len(row):
                value = value + convolution.weight[:, :, k] @ row[t - before + k]
        features.append(value.clamp(min=0))
    return torch.stack(features)


def test_logits_are_those_of_a_plain_loop() -> None:
    torch.manual_seed(0)
    sizes = {"vocab_size": 30, "embedding_dim": 6, "num_filters": 4, "kernel_sizes": [2, 3, 4]}
    model = TextCNN(TextCNNConfig(num_labels=3, **sizes)).eval().double()
    lengths = torch.tensor([5, 1, 3])
    mask = (torch.arange(5)[None] < lengths[:, None]).long()
    ids = torch.randint(5, 30, mask.shape)
    logits = model(input_ids=ids, attention_mask=mask).logits
    for row, length, found in zip(ids, lengths, logits, strict=True):
        vectors = list(model.embeddings.weight[row[:length]])
        features = torch.cat([convolve(convolution, vectors) for convolution in model.blocks[0].convolutions], dim=1)
        pooled = torch.stack([max(column) for column in features.T])
        torch.testing.assert_close(found, model.classifier.weight @ pooled + model.classifier.bias)
