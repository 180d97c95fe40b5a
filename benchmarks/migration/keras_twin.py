"""`build_twin` makes EfficientNet-Lite0 in Keras with the weights of the PyTorch module.

It works with Keras 2 and 3, on any backend, so that TensorFlow's packages and graftcam, which takes
Keras models on PyTorch, explain one model. TensorFlow's own network had this layout: padding
``same``, and batch normalisation with an epsilon of 1e-3.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .case import Array

STAGES = (  # expansion, kernel, stride, filters, blocks
    (1, 3, 1, 16, 1), (6, 3, 2, 24, 2), (6, 5, 2, 40, 2), (6, 3, 2, 80, 3), (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4), (6, 3, 1, 320, 1),
)  # fmt: skip
SIZE = 224


def build_twin(keras: Any, arrays: Mapping[str, Array]) -> Any:
    """Return the model: [N, 224, 224, 3] in, logits [N, 1000] out.

    The first ReLU of block 11 is the layer ``block11_relu``.


    Args:
        keras: The module ``keras`` or ``tensorflow.keras``.
        arrays: The PyTorch module's state by name, each as `as_keras` gives it.
    """
    layers = keras.layers
    sources: dict[str, str] = {}

    def name_of(path: str) -> str:
        # TensorFlow refuses names that begin with an underscore, PyTorch those with a dot.
        name = path.strip("_").replace("._", "_").replace(".", "_")
        sources[name] = path
        return name

    def convolved(x: Any, conv: str, norm: str, relu: str | None = "", **how: Any) -> Any:
        kind = layers.Conv2D if "filters" in how else layers.DepthwiseConv2D
        x = kind(**how, padding="same", use_bias=False, name=name_of(conv))(x)
        x = layers.BatchNormalization(epsilon=1e-3, name=name_of(norm))(x)
        return x if relu is None else layers.Activation("relu", name=relu or None)(x)

    image = keras.Input((SIZE, SIZE, 3))
    x = convolved(image, "_conv_stem", "_bn0", kernel_size=3, strides=2, filters=32)
    number, channels = 0, 32
    for expansion, kernel, first, filters, blocks in STAGES:
        for position in range(blocks):
            before, path, stride = x, f"_blocks.{number}.", 1 if position else first
            if expansion > 1:
                x = convolved(x, f"{path}_expand_conv", f"{path}_bn0", f"block{number}_relu",
                              kernel_size=1, filters=expansion * channels)  # fmt: skip
            x = convolved(x, f"{path}_depthwise_conv", f"{path}_bn1", kernel_size=kernel,
                          strides=stride)  # fmt: skip
            x = convolved(x, f"{path}_project_conv", f"{path}_bn2", relu=None, kernel_size=1,
                          filters=filters)  # fmt: skip
            if stride == 1 and channels == filters:
                x = layers.Add()([x, before])
            number, channels = number + 1, filters
    x = convolved(x, "_conv_head", "_bn1", kernel_size=1, filters=1280)
    x = layers.GlobalAveragePooling2D()(x)
    model = keras.Model(image, layers.Dense(1000, name=name_of("_fc"))(x))
    for name, path in sources.items():
        weights = [arrays[f"{path}.{part}"] for part in _PARTS if f"{path}.{part}" in arrays]
        model.get_layer(name).set_weights(weights)
    return model


_PARTS = ("weight", "bias", "running_mean", "running_var")


def as_keras(name: str, value: Array) -> Array:
    """Return one weight of the PyTorch module as Keras lays it out.

    Args:
        name: Its name in the module's state.
        value: Its value: a convolution [out, in, kh, kw] becomes [kh, kw, in, out], a depthwise one
            [C, 1, kh, kw] becomes [kh, kw, C, 1], a matrix is transposed.
    """
    if value.ndim == 4:
        return value.transpose((2, 3, 0, 1) if "_depthwise_conv" in name else (2, 3, 1, 0))
    return value.T if value.ndim == 2 else value
