"""Images of URFC regions: decoded, checked, judged blank or not."""

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIZE_PX = 100
BLANK_STD = 3.0  # levels of 255: below it in every band an image is one colour, give or take JPEG's noise
_LARGEST_PX = 4096  # a side that `resize` still takes


def read_image(path: Path, resize: bool = False) -> NDArray[np.uint8] | tuple[str, str]:
    """Return the pixels, (3,100,100) uint8, or the reason why they cannot be used and a word more.

    Args:
        path: JPEG or PNG; grey and indexed images become three bands, an alpha band is dropped.
        resize: bring images of another size to 100 x 100 px (by area) instead of refusing them.
    """
    try:
        data = path.read_bytes()
        with Image.open(io.BytesIO(data), formats=("JPEG", "PNG")) as image:
            if image.size != (SIZE_PX, SIZE_PX) and (not resize or max(image.size) > _LARGEST_PX):
                return "wrong_size", f"{image.width} x {image.height} px"
            picture = image.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:  # pillow's words for torn files
        return "corrupt_image", " ".join(str(error).replace(str(path), path.name).split())[:80]
    if picture.size != (SIZE_PX, SIZE_PX):
        picture = picture.resize((SIZE_PX, SIZE_PX), Image.Resampling.BOX)
    return np.ascontiguousarray(np.asarray(picture, dtype=np.uint8).transpose(2, 0, 1))


def is_blank(image: NDArray[np.uint8]) -> bool:
    """Tell whether a (3,P,P) image is one colour."""
    return bool((image.reshape(3, -1).std(axis=1) < BLANK_STD).all())
