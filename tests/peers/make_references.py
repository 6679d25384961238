"""Writes what PyTorch's nets answer, and what tensors they have: the references of `zoo/test_torch_weights.py`.

    pip install torch torchvision timm==1.0.31
    python tests/peers/make_references.py

It downloads nothing: every net gets numbers that are drawn from the names of its tensors, and is run in double
precision on images that are drawn too (`support/peers.py`). Only to be run again when a case is added.
"""

import json
import sys
from pathlib import Path

import numpy as np
import timm
import torch
import torchvision
from timm.layers import Conv2dSame
from timm.models.vgg import ConvMlp
from torch import nn

sys.path.append(str(Path(__file__).parents[1]))

from support import peers

NETS = {
    "timm": """
resnet18 resnet34 resnet50 resnet101 resnet152 resnext50_32x4d wide_resnet50_2 seresnet50
vgg11 vgg13 vgg16 vgg19 vgg11_bn vgg13_bn vgg16_bn vgg19_bn densenet121 densenet169 densenet201
mobilenetv1_100 mobilenetv2_050 mobilenetv2_100 mobilenetv2_140 mobilenetv3_small_100 mobilenetv3_large_100
tf_mobilenetv3_small_100 tf_mobilenetv3_large_100 tf_mobilenetv3_small_minimal_100 tf_mobilenetv3_large_minimal_100
efficientnet_b0 efficientnet_b1 efficientnet_b2 efficientnet_b3 efficientnet_b4 efficientnet_b5
tf_efficientnet_b0 tf_efficientnet_b1 tf_efficientnet_b2 tf_efficientnet_b3
tf_efficientnet_b4 tf_efficientnet_b5 tf_efficientnet_b6 tf_efficientnet_b7
efficientnet_lite0 tf_efficientnet_lite0 tf_efficientnet_lite1 tf_efficientnet_lite2 tf_efficientnet_lite3
tf_efficientnet_lite4 inception_v3 inception_v4 inception_resnet_v2
""",
    "torchvision": """
resnet18 resnet34 resnet50 resnet101 resnet152 resnext50_32x4d wide_resnet50_2
vgg11 vgg13 vgg16 vgg19 vgg11_bn vgg13_bn vgg16_bn vgg19_bn densenet121 densenet169 densenet201
mobilenet_v2 mobilenet_v3_small mobilenet_v3_large efficientnet_b0 efficientnet_b1 efficientnet_b2 efficientnet_b3
efficientnet_b4 efficientnet_b5 efficientnet_b6 efficientnet_b7 inception_v3
""",
}
"""Names by library: all that the cards have weights of."""


def make_net(peer: str) -> nn.Module:
    """The net of that name, such as `timm/resnet18` or `torchvision/resnet18`, with whatever weights."""
    library, name = peer.split("/")
    if library == "timm":
        return timm.create_model(name)
    initialised = {"init_weights": False} if name == "inception_v3" else {}
    return torchvision.models.get_model(name, weights=None, **initialised)


def make_narrow_vgg(peer: str) -> nn.Module:
    """VGG-11 of few channels, which neither library makes by an argument."""
    norm = "_bn" in peer
    widths, hidden = peers.VGG_WIDTHS, peers.VGG_HIDDEN
    convs = zip((1, 1, 2, 2, 2), widths, strict=True)
    plan = [place for count, width in convs for place in [width] * count + ["M"]]
    if peer.startswith("timm"):
        net = timm.models.vgg.VGG(plan, norm_layer=nn.BatchNorm2d if norm else None)
        net.pre_logits = ConvMlp(widths[-1], hidden[1], 7, mlp_ratio=hidden[0] / hidden[1])
        net.head.fc = nn.Linear(hidden[1], 1000)
        return net
    net = torchvision.models.VGG(torchvision.models.vgg.make_layers(plan, batch_norm=norm))
    net.classifier[0] = nn.Linear(widths[-1] * 7 * 7, hidden[0])
    net.classifier[3] = nn.Linear(hidden[0], hidden[1])
    net.classifier[6] = nn.Linear(hidden[1], 1000)
    return net


def normalisation(peer: str, tag: str) -> tuple[list[float], list[float]]:
    """Mean and deviation of pixels 0..1 that go with these weights."""
    library, name = peer.split("/")
    if library == "timm":
        config = timm.models.get_pretrained_cfg(f"{name}.{tag}")
        return list(config.mean), list(config.std)
    transforms = torchvision.models.get_model_weights(name)[tag].transforms()
    return transforms.mean, transforms.std


def answers(net: nn.Module, mean: list[float], deviation: list[float], case: peers.Case) -> list[list[float]]:
    """The logarithms of the first probabilities, for each image."""
    shapes = {name: tuple(tensor.shape) for name, tensor in net.state_dict().items()}
    drawn = {name: peers.drawn_tensor(name, shape, case.gain) for name, shape in shapes.items()}
    net.load_state_dict({name: torch.from_numpy(numbers) for name, numbers in drawn.items()})
    pixels = (peers.images(case.size).astype("float64") / 255 - mean) / deviation
    with torch.no_grad():
        logits = net.double().eval()(torch.from_numpy(pixels.transpose(0, 3, 1, 2).copy()))
    seen = (logits[0] - logits[1]).abs().mean() / logits.std()
    if not 0.03 < seen < 1 or not 0.1 < logits.std() < 15:
        raise ValueError(f"images differ by {seen:.3f}, logits by {logits.std():.2f}: choose another gain.")
    log_probabilities = torch.log_softmax(logits, dim=1)[:, : peers.CLASSES].numpy()
    return np.round(log_probabilities, 6).tolist()


def facts(net: nn.Module) -> dict[str, float | str | None]:
    """What is not seen from the tensors: BatchNorm's epsilon and the padding of convolutions that step."""
    (epsilon,) = {module.eps for module in net.modules() if isinstance(module, nn.BatchNorm2d)} or {None}
    same = any(isinstance(module, Conv2dSame) for module in net.modules())
    return {"epsilon": epsilon, "padding": "same" if same else "symmetric"}


def main() -> None:
    """Writes both kinds of files."""
    found = {}
    for name, case in peers.CASES.items():
        peer, tag = name.split(".")
        found[name] = answers(make_net(peer), *normalisation(peer, tag), case)
    for name, case in peers.NARROW_CASES.items():
        peer, tag = name.split(".")
        found[name] = answers(make_narrow_vgg(peer), *normalisation(peer, tag), case)
    lines = [f"{json.dumps(name)}: {json.dumps(rows)}" for name, rows in found.items()]
    peers.ANSWERS.write_text("{\n" + ",\n".join(lines) + "\n}\n")

    lists: dict[tuple, dict[str, dict]] = {}
    with torch.device("meta"):
        names = [f"{library}/{name}" for library, of_library in NETS.items() for name in of_library.split()]
        nets = {peer: make_net(peer) for peer in names}
        narrow = [name.split(".")[0] for name in peers.NARROW_CASES]
        nets |= {f"narrow/{peer}": make_narrow_vgg(peer) for peer in narrow}
    for peer, net in nets.items():
        shapes = tuple((name, tuple(tensor.shape)) for name, tensor in net.state_dict().items())
        lists.setdefault(shapes, {})[peer] = facts(net)
    peers.STATE_DICTS.mkdir(exist_ok=True)
    for shapes, having in lists.items():
        first = next(iter(having)).replace("/", "-")
        peers.write_state_dict(peers.STATE_DICTS / f"{first}.txt", having, dict(shapes))


if __name__ == "__main__":
    main()
