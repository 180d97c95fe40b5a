"""These functions find a model's layers by name, including those that PyTorch does not list.

`torch.nn.Module.named_modules` lists modules that were assigned to attributes. Some libraries store
modules in plain lists, as every Keras layer on the PyTorch backend does, or give layers names of
their own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from torch import nn

from ..errors import LayerError, unknown_layer


def named_layers(module: nn.Module) -> dict[str, nn.Module]:
    """Return all modules inside ``module``, each once, by the name to display.

    The name of a registered module is its path (``layer4.1.relu``). A module in a plain list,
    tuple or dict goes by its attribute ``name`` if that is unique, else by its path
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
    """Return the layer ``name``: a path, or a layer's own ``name`` if it is unique.

    Raises:
        LayerError: There is no such layer; the message suggests the nearest names.
    """
    layer = find_layer_at(module, name)
    if layer is None:
        raise LayerError(unknown_layer(name, named_layers(module)))
    return layer


def find_layer_at(module: nn.Module, name: str) -> nn.Module | None:
    """The same; None where there is no such layer."""
    paths = _paths(module)
    owned = {own: layer for layer, own in _own_names(paths).items()}
    return paths.get(name) or owned.get(name)


def _paths(module: nn.Module) -> dict[str, nn.Module]:
    """Return every module inside by path, each once; registered paths take precedence."""
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
    """Yield the modules that ``parent`` contains directly, or in a list, tuple or dict."""
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
    """Return the layers' own names, if they are unique and not a path."""
    own = {layer: getattr(layer, "name", None) for layer in paths.values()}
    names = {layer: name for layer, name in own.items() if name and isinstance(name, str)}
    counts = Counter(names.values())
    return {layer: name for layer, name in names.items() if counts[name] == 1 and name not in paths}
