"""Bidirectional LSTMs over the steps that are present: what the BiLSTM stream and TRANS-BLSTM blocks share."""

import torch
from torch import Tensor, nn


def run_lstm(lstm: nn.LSTM, series: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
    """Run over the valid steps in the order of time; any other is skipped, so both states are carried across it.

    Args:
        lstm: bidirectional, batch first, H units a direction.
        series: (B,T,C).
        valid: (B,T) bool.

    Returns:
        The top layer's states (B,T,2H), zero at steps that are not valid, and the readout (B,2H): [forward at the last
        valid step ; backward at the first], zero where no step is valid.
    """
    steps = series.shape[1]
    lengths = valid.sum(dim=1)
    # valid steps first, in the order of time; a row without any keeps one step, whose result is erased below
    order = torch.argsort(~valid, dim=1, stable=True)[..., None]
    packed = nn.utils.rnn.pack_padded_sequence(
        torch.take_along_dim(series, order, dim=1),
        lengths.clamp(min=1).cpu(),
        batch_first=True,
        enforce_sorted=False,
    )
    output, (last, _) = lstm(packed)
    states, _ = nn.utils.rnn.pad_packed_sequence(output, batch_first=True, total_length=steps)
    states = torch.zeros_like(states).scatter(1, order.expand_as(states), states) * valid[..., None]
    readout = torch.cat([last[-2], last[-1]], dim=-1) * (lengths > 0)[:, None]
    return states, readout


def init_lstm(lstm: nn.LSTM) -> None:
    """Xavier input weights, orthogonal hidden weights, forget bias 1 (Jozefowicz et al. 2015), as Keras does."""
    hidden = lstm.hidden_size
    for name, parameter in lstm.named_parameters():
        if name.startswith("weight_ih"):
            for gate in parameter.data.split(hidden):
                nn.init.xavier_uniform_(gate)
        elif name.startswith("weight_hh"):
            for gate in parameter.data.split(hidden):
                nn.init.orthogonal_(gate)
        else:
            nn.init.zeros_(parameter)
            if name.startswith("bias_ih"):
                parameter.data[hidden : 2 * hidden].fill_(1.0)
