"""The BiLSTM stream: a bidirectional LSTM over the centre cell's own series."""

import torch
from torch import Tensor, nn

from fusion.models.blocks import Batch, Norm, Stream, TokenHead, attention_blocks
from fusion.models.config import BiLSTMConfig, InputSpec


class BiLSTMStream(Stream):
    """`torch.nn.LSTM` over the steps that are present; a missing step is skipped, so both states are carried across it.

    Without blocks the one token is the readout [forward at the last valid step ; backward at the first], projected to
    D. With blocks the tokens are a class token and [forward ; backward] at each step, projected by the same layer.
    A cell without any valid step reads out zeros, projected.
    """

    modality = "signal"

    def __init__(self, config: BiLSTMConfig, spec: InputSpec) -> None:
        super().__init__()
        self.width = config.width
        self.centre = spec.kernel // 2
        between = config.dropout if config.layers > 1 else 0.0
        self.lstm = nn.LSTM(
            spec.channels, config.hidden, config.layers, batch_first=True, dropout=between, bidirectional=True
        )
        self.project = nn.Linear(2 * config.hidden, config.width)
        self.dropout = nn.Dropout(config.dropout)
        self.head = TokenHead(spec.steps, config.width, config.dropout) if config.blocks else None
        self.blocks = attention_blocks(
            config.blocks, config.width, config.heads, config.mlp_ratio, config.dropout, config.drop_path
        )
        self.norm = Norm(config.width)
        _init_lstm(self.lstm)

    def embed(self, batch: Batch) -> tuple[Tensor, Tensor | None]:
        series = batch["cube"][..., self.centre, self.centre]
        valid = batch["present"][..., self.centre, self.centre]
        states, readout = self.states(series, valid)
        if self.head is None:
            return self.dropout(self.project(readout))[:, None], None
        return self.head(self.project(states), valid)

    def states(self, series: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        """Return the top layer's states (B,T,2H), zero at steps that are not valid, and the readout (B,2H).

        Args:
            series: (B,T,C).
            valid: (B,T) bool.
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
        output, (last, _) = self.lstm(packed)
        states, _ = nn.utils.rnn.pad_packed_sequence(output, batch_first=True, total_length=steps)
        states = torch.zeros_like(states).scatter(1, order.expand_as(states), states) * valid[..., None]
        readout = torch.cat([last[-2], last[-1]], dim=-1) * (lengths > 0)[:, None]
        return states, readout


def _init_lstm(lstm: nn.LSTM) -> None:
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
