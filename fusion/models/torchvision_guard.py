"""Makes torchvision importable next to a torch without its compiled operators. Import it before timm or lightning.

PyPI's torchvision is compiled for CUDA. Next to the CPU build of torch its extension does not load, and `import
torchvision` then fails with "operator torchvision::nms does not exist", because it registers shapes for two operators
that only the extension declares. Declaring them is enough: nothing here ever calls them. Where the extension loads,
this module does nothing.
"""

import importlib.util
from pathlib import Path

import torch

_SIGNATURE = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
_declared: list[torch.library.Library] = []  # a Library takes its declarations back when it is collected


def declare_operators() -> bool:
    """Declare torchvision's two operators unless its extension brings them; return whether that was needed."""
    if _declared:
        return True
    spec = importlib.util.find_spec("torchvision")
    if spec is None or spec.origin is None or _extension_loads(Path(spec.origin).parent):
        return False
    library = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        library.define(name + _SIGNATURE)
    _declared.append(library)
    return True


def _extension_loads(folder: Path) -> bool:
    if hasattr(torch.ops.torchvision, "nms"):
        return True
    # what torchvision itself does first; loading a library twice is harmless
    for path in [*folder.glob("_C*.so"), *folder.glob("_C*.pyd"), *folder.glob("_C*.dylib")]:
        try:
            torch.ops.load_library(str(path))
        except OSError:
            continue
        return hasattr(torch.ops.torchvision, "nms")
    return False


declare_operators()
