"""How streams become class logits, by name. Every fusion is called as `fusion(streams, batch) -> Output`."""

from torch import nn

from fusion.models.late import ConcatenationHead, GatedUnit, MeanLogits
from fusion.models.levels import BottleneckFusion, CrossFusion, JointFusion

FUSIONS: dict[str | None, type[nn.Module]] = {
    None: ConcatenationHead,
    "late": ConcatenationHead,
    "late-mean": MeanLogits,
    "late-gated": GatedUnit,
    "joint": JointFusion,
    "cross": CrossFusion,
    "bottleneck": BottleneckFusion,
}
