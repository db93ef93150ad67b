"""Same weights, same outputs: guards `MODEL_VERSION`, the code fingerprint of every checkpoint.

When this fails because a network was changed on purpose, raise `fusion.models.MODEL_VERSION` by one and put the new
figures here: old checkpoints are then refused instead of answering something else.
"""

import pytest
import torch

from fusion.models import MODEL_VERSION
from fusion.models.config import InputSpec, NetworkConfig
from fusion.models.network import build_network

VERSION = 2
LOGITS = {
    "bilstm": (-0.193469384686, 0.774733813050, 0.725186173790),
    "bilstm-transformer": (0.748479418774, 1.047325922446, -0.106087581578),
    "convlstm": (0.618845790218, -0.057599683379, -0.425064497303),
    "convlstm-trans-blstm-2": (0.310520079840, 0.803426489828, 0.232846215148),
    "convlstm-transformer": (-0.582042222479, 0.025372671742, 0.809511098699),
    "trans-blstm-1": (-0.197741587619, -0.657116827351, 0.148113088196),
    "trans-blstm-2": (0.509824068437, 0.801492682318, 0.032757081890),
    "transformer": (-0.577599679663, -0.608666971595, 0.547642292980),
    "vit": (0.875931884590, 1.040687256625, -0.236235410295),
    "vit+bilstm-late": (1.053010496034, -0.658812721618, 0.806320614243),
    "vit+bilstm-late-gated": (0.369331961842, 0.205353306087, 0.048336059760),
    "vit+bilstm-late-mean": (1.035289814597, 0.231327135377, -0.760749694625),
    "vit+convlstm-bottleneck": (0.697524484298, -0.481308533875, -0.558647849319),
    "vit+convlstm-bottleneck-merged": (0.705045495515, -0.480691180902, -0.565918209223),
    "vit+convlstm-bottleneck-shared": (0.686832077803, -0.510511696302, -0.559812210846),
    "vit+convlstm-cross": (0.116712132843, -0.187451269360, 0.024348153015),
    "vit+convlstm-joint": (0.066178710554, -0.192984468900, 0.072635042466),
}


@pytest.mark.parametrize("name", sorted(LOGITS))
def test_outputs_of_this_model_version(name: str, configs: dict[str, NetworkConfig], spec: InputSpec) -> None:
    network = build_network(configs[name], spec).double().eval()
    with torch.no_grad():
        for index, (_, parameter) in enumerate(sorted(network.named_parameters())):
            waves = torch.sin(0.7 * torch.arange(parameter.numel(), dtype=torch.float64) + index)
            parameter.copy_(0.3 * waves.view_as(parameter))
    count = 2 * spec.steps * spec.channels * spec.kernel**2
    cube = torch.sin(torch.arange(count, dtype=torch.float64)).view(2, spec.steps, spec.channels, 5, 5)
    image = torch.cos(torch.arange(2 * 3 * 64, dtype=torch.float64)).view(2, 3, 8, 8)
    present = torch.ones(2, spec.steps, 5, 5, dtype=torch.bool)
    present[1, [0, 3], 2, 2] = False

    with torch.no_grad():
        logits = network({"image": image, "cube": cube, "present": present})[1, :3]

    assert MODEL_VERSION == VERSION, "put the figures of the new model version here"
    assert logits.tolist() == pytest.approx(LOGITS[name], abs=1e-9)


def test_every_kind_of_network_has_a_golden_output(configs: dict[str, NetworkConfig]) -> None:
    assert set(LOGITS) == set(configs)
