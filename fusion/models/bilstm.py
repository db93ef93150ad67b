"""The BiLSTM stream: a bidirectional LSTM over a sample's own series."""

from torch import Tensor, nn

from fusion.models.blocks import Batch, Norm, Stream, TokenHead
from fusion.models.config import BiLSTMConfig, InputSpec
from fusion.models.recurrence import init_lstm, run_lstm
from fusion.models.signal import own_series, signal_blocks


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
        self.grid = spec.grid
        between = config.dropout if config.layers > 1 else 0.0
        self.lstm = nn.LSTM(
            spec.channels, config.hidden, config.layers, batch_first=True, dropout=between, bidirectional=True
        )
        self.project = nn.Linear(2 * config.hidden, config.width)
        self.dropout = nn.Dropout(config.dropout)
        self.head = TokenHead(spec.steps, config.width, config.dropout) if config.blocks else None
        self.blocks = signal_blocks(config)
        self.norm = Norm(config.width)
        init_lstm(self.lstm)

    def embed(self, batch: Batch) -> tuple[Tensor, Tensor | None]:
        series, valid = own_series(batch, self.grid)
        states, readout = run_lstm(self.lstm, series, valid)
        if self.head is None:
            return self.dropout(self.project(readout))[:, None], None
        return self.head(self.project(states), valid)
