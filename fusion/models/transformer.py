"""The transformer stream: a token an hour, and blocks on them, with or without an LSTM inside."""

from torch import Tensor, nn

from fusion.models.blocks import Batch, Norm, Stream, TokenHead, init_linears
from fusion.models.config import InputSpec, TransformerConfig
from fusion.models.signal import own_series, signal_blocks


class TransformerStream(Stream):
    """Tokens: a class token, and each step of the sample's own series projected from its channels to D.

    Attention does not read steps that are wholly missing. With TRANS-BLSTM blocks (`config.block`) this is the model of
    Huang et al. 2020 (arXiv 2003.07000) on hourly counts.
    """

    modality = "signal"

    def __init__(self, config: TransformerConfig, spec: InputSpec) -> None:
        super().__init__()
        self.width = config.width
        self.grid = spec.grid
        self.project = nn.Linear(spec.channels, config.width)
        if config.block == "attention":
            # as small as the positions' 0.02: torch's own draw is some 30 times as large, and attention that cannot
            # see which hour is which learned nothing; an LSTM knows the order without positions, and learns either way
            # (docs/decisions/2026-11-24-series-blocks.md)
            init_linears(self.project)
        self.head = TokenHead(spec.steps, config.width, config.dropout)
        self.blocks = signal_blocks(config)
        self.norm = Norm(config.width)

    def embed(self, batch: Batch) -> tuple[Tensor, Tensor | None]:
        series, valid = own_series(batch, self.grid)
        return self.head(self.project(series), valid)
