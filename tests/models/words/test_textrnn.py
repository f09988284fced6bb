import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from textmix import TextRNN, TextRNNConfig
from textmix.models.words.textrnn import BidirectionalLSTM


def test_states_are_those_of_packed_sequences() -> None:
    """torch's own bidirectional LSTM over packed sequences, with the same weights."""
    torch.manual_seed(0)
    ours, theirs = BidirectionalLSTM(4, 3), torch.nn.LSTM(4, 3, batch_first=True, bidirectional=True)
    for name, parameter in ours.forwards.named_parameters():
        getattr(theirs, name).data = parameter.data
        getattr(theirs, f"{name}_reverse").data = ours.backwards.get_parameter(name).data
    hidden, lengths = torch.randn(4, 7, 4), torch.tensor([3, 7, 1, 5])
    mask = torch.arange(7)[None] < lengths[:, None]
    packed, _ = theirs(pack_padded_sequence(hidden, lengths, batch_first=True, enforce_sorted=False))
    expected, _ = pad_packed_sequence(packed, batch_first=True)
    torch.testing.assert_close(ours(hidden, mask.long())[mask], expected[mask])


def test_gaps_are_passed_over_and_nothing_behind_them_is_seen() -> None:
    torch.manual_seed(0)
    block, hidden = BidirectionalLSTM(4, 3), torch.randn(1, 5, 4)
    mask = torch.tensor([[0, 1, 0, 1, 1]])
    torch.testing.assert_close(block(hidden, mask)[:, mask[0].bool()], block(hidden[:, [1, 3, 4]], torch.ones(1, 3)))
    other = torch.where(mask[..., None].bool(), hidden, 9.0)
    assert torch.equal(block(other, mask)[:, mask[0].bool()], block(hidden, mask)[:, mask[0].bool()])


def test_both_directions_reach_every_position() -> None:
    torch.manual_seed(0)
    block, hidden = BidirectionalLSTM(4, 3), torch.randn(1, 5, 4, requires_grad=True)
    for position in range(5):
        (gradient,) = torch.autograd.grad(block(hidden, torch.ones(1, 5))[0, position].sum(), hidden)
        assert gradient.abs().sum(dim=-1).all()


def test_weights_begin_as_documented() -> None:
    lstm = TextRNN(TextRNNConfig(vocab_size=10, embedding_dim=6, lstm_units=4, num_labels=2)).blocks[0].backwards
    for gate in lstm.weight_hh_l0.chunk(4):
        torch.testing.assert_close(gate @ gate.T, torch.eye(4))
    assert (lstm.bias_ih_l0 + lstm.bias_hh_l0).tolist() == [0.0] * 4 + [1.0] * 4 + [0.0] * 8


def test_lstms_lie_on_each_other() -> None:
    model = TextRNN(TextRNNConfig(vocab_size=10, embedding_dim=6, lstm_units=4, num_hidden_layers=3, num_labels=2))
    assert [block.forwards.input_size for block in model.blocks] == [6, 8, 8]
    assert model.classifier.in_features == 8


def read(lstm: torch.nn.LSTM, row: list[torch.Tensor]) -> list[torch.Tensor]:
    """Hochreiter and Schmidhuber's equations, one step after the other."""
    state = cell = torch.zeros(lstm.hidden_size, dtype=row[0].dtype)
    states = []
    for vector in row:
        gates = lstm.weight_ih_l0 @ vector + lstm.bias_ih_l0 + lstm.weight_hh_l0 @ state + lstm.bias_hh_l0
        take, keep, new, show = gates.chunk(4)
        cell = keep.sigmoid() * cell + take.sigmoid() * new.tanh()
        state = show.sigmoid() * cell.tanh()
        states.append(state)
    return states


def test_logits_are_those_of_a_plain_loop() -> None:
    torch.manual_seed(0)
    sizes = {"vocab_size": 30, "embedding_dim": 6, "lstm_units": 4, "num_hidden_layers": 2}
    model = TextRNN(TextRNNConfig(num_labels=3, **sizes)).eval().double()
    lengths = torch.tensor([5, 1, 3])
    mask = (torch.arange(5)[None] < lengths[:, None]).long()
    ids = torch.randint(5, 30, mask.shape)
    logits = model(input_ids=ids, attention_mask=mask).logits
    for row, length, found in zip(ids, lengths, logits, strict=True):
        hidden = list(model.embeddings.weight[row[:length]])
        for block in model.blocks:
            both = zip(read(block.forwards, hidden), read(block.backwards, hidden[::-1])[::-1], strict=True)
            hidden = [torch.cat(states) for states in both]
        pooled = torch.stack([max(column) for column in torch.stack(hidden).T])
        torch.testing.assert_close(found, model.classifier.weight @ pooled + model.classifier.bias)
