"""A model's layers by name, those that PyTorch does not list included.

`torch.nn.Module.named_modules` knows the modules that were assigned to attributes. Others keep
theirs in plain lists, as every Keras layer on the PyTorch backend does, or hand them about under
names of their own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from torch import nn

from ..errors import LayerError, unknown_layer


def named_layers(module: nn.Module) -> dict[str, nn.Module]:
    """All modules inside ``module``, each once, under the name to show.

    A registered module has its path (``layer4.1.relu``). One that lies in a plain list, tuple or
    dict has its own ``name`` if it has one that no other layer has, else the path to it
    (``blocks.0``).
    """
    paths = _paths(module)
    owned = _own_names(paths)
    registered = dict(module.named_modules())
    return {
        path if path in registered else owned.get(layer, path): layer
        for path, layer in paths.items()
    }


def layer_of(module: nn.Module, name: str) -> nn.Module:
    """The layer called ``name``: its path, or its own ``name`` if only one layer has that.

    Raises:
        LayerError: There is none; the nearest names are suggested.
    """
    paths = _paths(module)
    if name in paths:
        return paths[name]
    owned = {own: layer for layer, own in _own_names(paths).items()}
    if name not in owned:
        raise LayerError(unknown_layer(name, named_layers(module)))
    return owned[name]


def _paths(module: nn.Module) -> dict[str, nn.Module]:
    """Every module inside by path; registered paths win, each module once."""
    found = {path: layer for path, layer in module.named_modules() if path}
    seen = {id(module), *map(id, found.values())}
    queue = [("", module), *found.items()]
    while queue:
        prefix, parent = queue.pop(0)
        for path, layer in _held(parent, prefix):
            if id(layer) not in seen:
                seen.add(id(layer))
                found[path] = layer
                queue.append((path, layer))
    return found


def _held(parent: nn.Module, prefix: str) -> Iterator[tuple[str, nn.Module]]:
    """Modules that ``parent`` holds directly, or in a list, tuple or dict."""
    lead = f"{prefix}." if prefix else ""
    yield from ((f"{lead}{name}", child) for name, child in parent.named_children())
    for name, value in vars(parent).items():
        if isinstance(value, nn.Module):
            yield f"{lead}{name}", value
        elif isinstance(value, (list, tuple, Mapping)):
            parts = value.items() if isinstance(value, Mapping) else enumerate(value)
            for key, part in parts:
                if isinstance(part, nn.Module):
                    yield f"{lead}{name}.{key}", part


def _own_names(paths: Mapping[str, nn.Module]) -> dict[nn.Module, str]:
    """The layers' own names, where they have one that is no other layer's and no path."""
    names = {layer: name for layer in paths.values() if (name := _own_name(layer))}
    counts = Counter(names.values())
    return {layer: name for layer, name in names.items() if counts[name] == 1 and name not in paths}


def _own_name(layer: nn.Module) -> str | None:
    name = getattr(layer, "name", None)
    return name if isinstance(name, str) else None
