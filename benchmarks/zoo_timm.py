"""This module lists one model or more of each of timm's architecture modules, mostly small ones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

_OBLONG = (160, 192)  # not square, where the model takes it

# Convolutional models and others that take any size.
_ANY = """
    lambda_resnet26t mobileone_s1 convmixer_768_32 convnext_atto cpubone_nano csatv2
    cs3darknet_focus_s cspnext_tiny davit_tiny densenetblur121d dla46x_c dpn48b edgenext_xx_small
    efficientnet_b0 efficientvim_m1 efficientvit_b0 fasternet_t0 fastvit_t8 focalnet_tiny_srf
    ghostnet_100 hardcorenas_a hgnetv2_b0 hrnet_w18_small iformer_t inception_next_atto
    inception_resnet_v2 inception_v3 inception_v4 lcnetv2_small lowformer_b0 mambaout_femto
    poolformer_s12 caformer_s18 mobilenetv3_large_100 mobilenetv5_base mobilevit_xxs
    mobilevitv2_050 nasnetalarge nextvit_small dm_nfnet_f0 nf_regnet_b0 pnasnet5large pvt_v2_b0
    rdnet_tiny regnety_002 repghostnet_050 repvit_m0_9 res2net50_26w_4s resnest14d resnet26d
    seresnet50 resnetv2_50 rexnet_100 selecsls42 legacy_seresnet18 shvit_s1 skresnet18
    starnet_s050 tiny_vit_5m_224 tresnet_m vgg11_bn ese_vovnet19b_dw legacy_xception xception41
    sam2_hiera_tiny
"""

# Transformers, mostly, at their own size.
_SQUARE = {
    160: "test_coatnet test_vit_relpos",
    224: """
        cait_xxs24_224 coat_tiny convit_tiny deit_tiny_patch16_224 deit_tiny_distilled_patch16_224
        efficientformer_l1 efficientformerv2_s0 efficientvit_m0 gcvit_xxtiny hiera_tiny_224
        levit_128s levit_conv_128s gmlp_ti16_224 mixer_s32_224 mvitv2_tiny nest_tiny pit_ti_224
        sequencer2d_s swiftformer_xs swin_tiny_patch4_window7_224 swinv2_cr_tiny_224
        tnt_s_patch16_224 twins_svt_small visformer_tiny vit_tiny_r_s16_p8_224 vitamin_small_224
        volo_d1_224 xcit_nano_12_p16_224 coatnet_nano_rw_224 vit_relpos_small_patch16_224
    """,
    240: "crossvit_tiny_240",
    256: """
        halonet_h1 botnet26t_256 swinv2_tiny_window8_256 maxvit_pico_rw_256
        vit_tiny_patch16_dinov3_qkvb
    """,
}

# Large ones: the same blocks, fewer of them. Oblong grids of tokens.
_OPTIONS: list[tuple[str, tuple[int, int], dict[str, Any]]] = [
    ("beit_base_patch16_224", (224, 224), {"depth": 4}),
    ("eva02_tiny_patch14_224", (168, 224), {"img_size": (168, 224)}),
    ("vit_tiny_patch16_224", _OBLONG, {"img_size": _OBLONG}),
    ("vit_little_patch16_reg4_gap_256", _OBLONG, {"img_size": _OBLONG, "depth": 6}),
    ("vit_small_patch14_reg4_dinov2", (168, 224), {"img_size": (168, 224), "depth": 6}),
    ("naflexvit_base_patch16_gap", (224, 224), {"depth": 4}),
    ("samvit_base_patch16_224", (224, 224), {"depth": 4}),
    ("deepseek_vit_412m", (224, 224), {"depth": 2}),
    ("gemma4_vit_167m", (240, 240), {"depth": 4}),
    ("qwen3_vit_88m", (224, 224), {"depth": 4}),
]


def timm_models() -> Iterator[tuple[str, tuple[int, int], dict[str, Any]]]:
    """Name, input size and options of each."""
    yield from ((name, _OBLONG, {}) for name in _ANY.split())
    for side, names in _SQUARE.items():
        yield from ((name, (side, side), {}) for name in names.split())
    yield from _OPTIONS
