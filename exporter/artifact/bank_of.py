"""`bank_of` reads the bank of texts that is a constant of an artifact's graph."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ...runtime.inputs.bank import Bank, digest_of
from ...runtime.spec import Spec
from ..errors import CaptureError
from ..graph.external_data import take_in
from ..graph.open_file import open_file


def bank_of(artifact: Path, spec: Spec) -> Bank | None:
    """Return the bank of an artifact; None for one that has none.

    Args:
        artifact: The file.
        spec: Its metadata.

    Raises:
        CaptureError: The graph lacks the bank, or has other numbers than the metadata say.
    """
    how = spec.score.similarity
    if how is None or how.bank is None:
        return None
    model = open_file(artifact)
    take_in(model, artifact)
    value = model.graph.initializers.get(how.bank)
    tensor = None if value is None else value.const_value
    array = None if tensor is None else np.asarray(tensor.numpy())
    names = spec.labels or []
    shape = (len(names), how.width)
    if array is None or array.shape != shape or digest_of(array) != how.bank_sha256:
        raise CaptureError(
            f"{artifact.name} has no bank {list(shape)} with the digest in its metadata; export "
            "it again"
        )
    vectors = array.astype(np.float32)
    return Bank(list(names), vectors, how.templates or [], how.scale, how.bias, how.text_encoder)
