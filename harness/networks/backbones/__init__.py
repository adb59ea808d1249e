"""The networks that methods share, so that only the method varies. Importing this package imports no torch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from harness.contract.backbones import BackboneRequest, BackboneSpec
from harness.contract.citations import Citation

if TYPE_CHECKING:
    import torch


def _conv4(request: BackboneRequest) -> torch.nn.Module:
    from harness.networks.backbones.conv4 import Conv4

    return Conv4(request.image_size, request.channels)


def _conv4_np(request: BackboneRequest) -> torch.nn.Module:
    from harness.networks.backbones.conv4 import Conv4

    return Conv4(request.image_size, request.channels, pools=2)


def _conv4_gap(request: BackboneRequest) -> torch.nn.Module:
    from harness.networks.backbones.conv4 import Conv4Gap

    return Conv4Gap(request.image_size, request.channels)


def _resnet12(request: BackboneRequest) -> torch.nn.Module:
    from harness.networks.backbones.resnet12 import ResNet12

    return ResNet12(request.image_size, request.channels)


def _timm(request: BackboneRequest) -> torch.nn.Module:
    from harness.networks.backbones.timm_models import build

    return build(request)


def _timm_weights(argument: str | None) -> Path:
    from harness.networks.backbones.timm_models import cached_weights

    return cached_weights(argument)


SPECS: tuple[BackboneSpec, ...] = (
    BackboneSpec(
        "conv4",
        "four 3×3 convolutions of 64 filters, flattened (0.1 M parameters)",
        _conv4,
        citation=Citation(
            "vinyals2016matching",
            ("Vinyals, Oriol and Blundell, Charles and Lillicrap, Timothy and Kavukcuoglu, Koray and Wierstra, Daan"),
            "Matching Networks for One Shot Learning",
            2016,
            "Advances in Neural Information Processing Systems",
        ),
    ),
    BackboneSpec(
        "conv4-np",
        "conv4 without pooling in its last two blocks: maps of S/4 × S/4 (0.1 M)",
        _conv4_np,
        citation=Citation(
            "sung2018learning",
            (
                "Sung, Flood and Yang, Yongxin and Zhang, Li and Xiang, Tao and Torr, Philip H. S. and "
                "Hospedales, Timothy M."
            ),
            "Learning to Compare: Relation Network for Few-Shot Learning",
            2018,
            "Proceedings of the IEEE/CVF Conference on Computer Vision and Pattern Recognition",
        ),
    ),
    BackboneSpec(
        "conv4-gap",
        "RFS's conv4: no fourth pooling, maps averaged to 64 features (0.1 M)",
        _conv4_gap,
        citation=Citation(
            "tian2020rethinking",
            ("Tian, Yonglong and Wang, Yue and Krishnan, Dilip and Tenenbaum, Joshua B. and Isola, Phillip"),
            "Rethinking Few-Shot Image Classification: A Good Embedding Is All You Need?",
            2020,
            "European Conference on Computer Vision",
        ),
    ),
    BackboneSpec(
        "resnet12",
        "ResNet-12 of 64, 160, 320, 640 filters with DropBlock (12.4 M parameters)",
        _resnet12,
        citation=Citation(
            "lee2019meta",
            "Lee, Kwonjoon and Maji, Subhransu and Ravichandran, Avinash and Soatto, Stefano",
            "Meta-Learning with Differentiable Convex Optimization",
            2019,
            "Proceedings of the IEEE/CVF Conference on Computer Vision and Pattern Recognition",
        ),
    ),
    BackboneSpec(
        "timm",
        "any model of the timm library: timm:resnet18",
        _timm,
        True,
        _timm_weights,
        Citation(
            "wightman2019timm", "Wightman, Ross", "PyTorch Image Models", 2019, "doi:10.5281/zenodo.4414861", "misc"
        ),
    ),
)
