"""`torchvision_model` and `timm_model` make a model of these packages by its name.

Weights are a file, or those that the package publishes: by their name, or ``DEFAULT``. Published
ones bring their transform and class names with them.
"""

from __future__ import annotations

import difflib
import inspect
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...runtime.spec import Preprocess
from ..errors import CaptureError, first_line
from .checkpoint import load_weights
from .fetch_weights import check_reachable, fetch, in_hub_cache
from .torch_transforms import from_preset, from_timm

if TYPE_CHECKING:
    import torch

DEFAULT = "DEFAULT"
"""The word for the weights that a package recommends."""

_SHOWN = 5  # names of weights in a message
_RANDOM = "no --weights given: the model explains random weights; --weights DEFAULT takes trained"


@dataclass(frozen=True)
class ZooModel:
    """A model of a package.

    Attributes:
        model: The module, in evaluation mode.
        shape: Shape of its input without the batch axis.
        preprocess: Its training transform, if it can be stored.
        labels: Its class names, if known.
        notes: Notes for the user.
    """

    model: torch.nn.Module
    shape: Sequence[int]
    preprocess: Preprocess | None
    labels: list[str] | None
    notes: list[str] = field(default_factory=list[str])


def torchvision_model(name: str, weights: str | None) -> ZooModel:
    """Make a model of torchvision.

    Args:
        name: Its name, such as ``resnet50``.
        weights: A file with a state dict; or ``IMAGENET1K_V2``, ``ResNet50_Weights.IMAGENET1K_V2``,
            ``DEFAULT``, which are downloaded once; None: random.

    Raises:
        CaptureError: There is no such model, or the weights cannot be loaded.
    """
    from torchvision import models

    if name not in models.list_models():
        raise CaptureError(
            f"torchvision has no model {name!r}{_nearest(name, models.list_models())}"
        )
    enum: Any = models.get_model_weights(name)
    known: dict[str, Any] = dict(enum.__members__)  # `DEFAULT` is one of them
    entry, notes = known.get(DEFAULT), list[str]()
    if weights is None or Path(weights).exists():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torchvision's, about random weights
            parameters = inspect.signature(models.get_model_builder(name)).parameters
            none = {key: None for key in ("weights", "weights_backbone") if key in parameters}
            model = models.get_model(name, **none)
        notes += _loaded(model, weights)
    else:
        entry = known.get(weights.removeprefix(f"{enum.__name__}."))
        if entry is None:
            raise _no_weights(f"torchvision:{name}", weights, known)
        # With the weights torchvision also sets what belongs to them, such as `transform_input`.
        place = fetch(entry.url, f"the weights {entry!r}")
        model = _made(lambda: models.get_model(name, weights=entry), place)
    transform = None if entry is None else from_preset(entry.transforms())
    labels = None if entry is None else entry.meta.get("categories")
    size = transform.size if transform else (224, 224)
    return ZooModel(model.eval(), (3, *size), transform, labels, notes)


def timm_model(name: str, weights: str | None) -> ZooModel:
    """Make a model of timm.

    Args:
        name: Its name, such as ``resnet50`` or ``resnet50.a1_in1k``.
        weights: A file with a state dict; or the tag of published weights, such as ``a1_in1k``, or
            ``DEFAULT``, which are downloaded once; None: random.

    Raises:
        CaptureError: timm is not installed, there is no such model, or the weights cannot be
            loaded.
    """
    try:
        import timm
        import timm.data
    except ImportError as error:
        raise CaptureError("timm is not installed; pip install timm") from error
    plain, _, tag = name.partition(".")
    if not timm.is_model(plain):
        raise CaptureError(f"timm has no model {plain!r}{_nearest(plain, timm.list_models())}")
    tags = [one.partition(".")[2] for one in timm.list_pretrained(f"{plain}.*")]
    if tag and tag not in tags:
        raise _no_weights(f"timm:{plain}", tag, tags)
    if weights is None or Path(weights).exists():
        model = timm.create_model(plain, pretrained=False)
        notes = _loaded(model, weights)
    else:
        model, notes = _pretrained_timm(plain, tag, weights, tags), list[str]()
    config = timm.data.resolve_model_data_config(model)
    subset = timm.data.infer_imagenet_subset(model)
    labels = None if subset is None else list(timm.data.ImageNetInfo(subset).label_descriptions())
    return ZooModel(model.eval(), config["input_size"], from_timm(config), labels, notes)


def _pretrained_timm(plain: str, tag: str, weights: str, tags: Sequence[str]) -> torch.nn.Module:
    import timm

    if weights not in (DEFAULT, tag, *tags) or not tags:
        raise _no_weights(f"timm:{plain}", weights, [DEFAULT, *tags] if tags else ())
    chosen = f"{plain}.{tag}" if weights == DEFAULT and tag else plain
    chosen = chosen if weights == DEFAULT else f"{plain}.{weights}"
    config: Any = timm.get_pretrained_cfg(chosen)
    hub, file = config.hf_hub_id, config.hf_hub_filename or "model.safetensors"
    url = f"https://huggingface.co/{hub}/resolve/main/{file}" if hub else config.url
    # What is on this machine needs no network; some models read a file in their own way.
    local = in_hub_cache(hub, file) if hub and not config.custom_load else None
    try:
        if local is None:
            check_reachable(url)
        overlay = None if local is None else {"file": str(local)}
        return timm.create_model(chosen, pretrained=True, pretrained_cfg_overlay=overlay)
    except Exception as error:
        raise CaptureError(
            f"cannot fetch the weights of timm:{chosen} ({first_line(error)}); get {url} and give "
            f"it with --weights {Path(file).name if hub else 'FILE'}"
        ) from error


def _made(make: Callable[[], torch.nn.Module], place: Path) -> torch.nn.Module:
    try:
        return make()
    except Exception as error:
        raise CaptureError(
            f"cannot load {place}: {first_line(error)}; delete it, and it is fetched again"
        ) from error


def _loaded(model: torch.nn.Module, weights: str | None) -> list[str]:
    """Load a state dict into ``model``; without one, return a note that the weights are random."""
    if weights is None:
        return [_RANDOM]
    load_weights(model, Path(weights))
    return []


def _no_weights(source: str, weights: str, known: Iterable[str]) -> CaptureError:
    names = list(known)
    near = difflib.get_close_matches(weights, names, n=_SHOWN, cutoff=0.4)
    shown = list(dict.fromkeys([*near, *names]))[:_SHOWN]
    more = ", ..." if len(shown) < len(names) else ""
    there = f"there is {', '.join(shown)}{more}" if names else "it has none to fetch"
    return CaptureError(
        f"--weights {weights}: no such file, and no weights of {source}; {there}; or give a file"
    )


def _nearest(name: str, names: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, names, n=3)
    return f"; did you mean {', '.join(near)}?" if near else ""
