"""A transformer at opset 23, where PyTorch writes attention as one operator."""

from __future__ import annotations

from pathlib import Path

import onnx
import torch
from torchvision.models import VisionTransformer

from graftcam.exporter import TorchExport, export


def test_a_transformer_with_attention_as_one_operator(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = VisionTransformer(
        image_size=16, patch_size=4, num_layers=2, num_heads=2, hidden_dim=8, mlp_dim=16,
        num_classes=5,
    ).eval()  # fmt: skip
    torch.nn.init.normal_(model.heads.head.weight)  # PyTorch starts with zeros
    path = tmp_path / "vit.onnx"
    layer = "encoder.layers.encoder_layer_0"
    report = export(
        model, path, (torch.randn(1, 3, 16, 16),), layers=layer, trace=TorchExport(opset=23)
    )
    assert "Attention" in {node.op_type for node in onnx.load(path).graph.node}
    assert report.operators["Attention"] == 1  # between the layer and the score
