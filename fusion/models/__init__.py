"""Streams, fusion, network and checkpoint. Importing this package imports no torch; its modules do.

`MODEL_VERSION` is the code fingerprint of a checkpoint: it is raised by one whenever the same weights would give other
outputs, and `tests/models/test_golden.py` notices when that was forgotten.
"""

MODEL_VERSION = 2
