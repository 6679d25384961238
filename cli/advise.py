"""`pocketzoo advise`: what pays on a target, before hours are spent on it."""

import platform
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ..core.errors import InputError, unknown
from . import console
from .heavy import import_tensorflow
from .options import Json

if TYPE_CHECKING:
    import keras

    from ..export.footprint import ArtifactCost
    from ..export.formats import Format

WORTH_IT = 1.2
"""Times as fast or as small that something must make a model to be called worth it."""
ZEROS = 0.8
"""Share of the weights that is tried."""
LEFT = 0.25
"""Share of the multiply-adds that half the channels take."""


@dataclass(frozen=True)
class Target:
    """What counts there."""

    runtime: Literal["tflite", "onnx"]
    size: Literal["bytes", "gzip_bytes"] | None
    """The size that counts: of the file, or of what is downloaded; on a server none does."""
    smaller: str = ""
    """What to call it."""


TARGETS = {
    "mobile": Target("tflite", "gzip_bytes", "smaller to download"),
    "edge": Target("tflite", "bytes", "smaller in flash"),
    "web": Target("tflite", "gzip_bytes", "smaller to download"),
    "server": Target("onnx", None),
}


@dataclass(frozen=True)
class Way:
    """One way to compress a model."""

    name: str
    model: "keras.Model"
    format: "Format"
    command: str


@dataclass(frozen=True)
class Advice:
    """What a way has come to."""

    way: str
    bytes: int
    gzip_bytes: int
    median_ms: float
    times_as_fast: float
    times_smaller: float | None
    """By the size that counts on the target."""
    advice: str


def advise(
    model: Annotated[str, typer.Argument(help="A name from `pocketzoo list`, or a .keras file.")],
    target: Annotated[str, typer.Option(help="mobile, edge, web or server.")] = "mobile",
    as_json: Json = False,
) -> None:
    """Measure on this machine what int8, fewer channels and zeros bring, without training anything."""
    if target not in TARGETS:
        raise unknown("target", target, TARGETS)
    import_tensorflow()
    from .. import zoo
    from ..export.footprint import artifact_costs

    loaded = zoo.load_model(model) if model.endswith(".keras") else zoo.create_model(model)
    with console.status("Converting and measuring"):
        ways = list(_ways(loaded, TARGETS[target].runtime))
        costs = artifact_costs({way.name: way.model for way in ways}, {way.name: [way.format] for way in ways})
    base, *others = [(way, costs[way.name][way.format.name]) for way in ways]
    advice = [judge(way, base[1], cost, TARGETS[target]) for way, cost in others]
    if as_json:
        facts = {"model": loaded.name, "target": target, "machine": platform.machine(), "as it is": asdict(base[1])}
        console.show_json(facts | {"ways": [asdict(one) for one in advice]})
        return
    rows = [("as it is", *_cells(base[1].size.bytes, base[1].size.gzip_bytes, base[1].median_ms), "")]
    rows += [(one.way, *_cells(one.bytes, one.gzip_bytes, one.median_ms), one.advice) for one in advice]
    runtime = {"tflite": "LiteRT", "onnx": "ONNX Runtime"}[TARGETS[target].runtime]
    title = f"{loaded.name} for {target}, measured in {runtime} on this {platform.machine()} machine, one thread"
    console.show_table(("way", "kB", "gzipped", "ms", "advice"), rows, title=title)
    typer.echo("Sizes and times only: what accuracy it costs is seen when it is done, with data.")


def _cells(size: int, gzipped: int, ms: float) -> tuple[str, str, str]:
    return f"{size / 1000:,.0f}", f"{gzipped / 1000:,.0f}", f"{ms:.3f}"


def judge(way: Way, base: "ArtifactCost", cost: "ArtifactCost", target: Target) -> Advice:
    """Whether `way` pays on `target`, by what the model costs as it is and what it then costs."""
    faster = base.median_ms / cost.median_ms
    smaller = getattr(base.size, target.size) / getattr(cost.size, target.size) if target.size else None
    is_smaller = smaller is not None and smaller >= WORTH_IT
    speed = f"{1 / faster:.1f} times as slow" if faster * WORTH_IT <= 1 else "no faster"
    size = f"{smaller:.1f} times {target.smaller}" if is_smaller else ""
    if faster >= WORTH_IT:
        said = f"Pays: {faster:.1f} times as fast{size and ' and '}{size}. {way.command}"
    elif is_smaller:
        said = f"Pays in size only: {size}, {'' if speed == 'no faster' else 'but '}{speed}. {way.command}"
    else:
        said = f"Does not pay here: {speed}{', no smaller' if target.size else ''}."
    return Advice(way.name, cost.size.bytes, cost.size.gzip_bytes, cost.median_ms, faster, smaller, said)


def _ways(model: "keras.Model", runtime: str) -> Iterator[Way]:
    """What is tried, the model as it is first."""
    from ..export.formats import FORMATS, SPARSE

    sparse = with_zeros(model, ZEROS)
    float32, int8 = FORMATS[f"{runtime}-fp32"], FORMATS[f"{runtime}-int8"]
    remove, zero = f"`pocketzoo prune --channels --budget macs:{LEFT}`", f"`pocketzoo prune --sparsity {ZEROS}`"
    yield Way("as it is", model, float32, "")
    yield Way("int8", model, int8, "`pocketzoo export`, or `pocketzoo quantize` where that costs accuracy")
    for half in _half_the_channels(model):
        yield Way("half the channels", half, float32, remove)
        yield Way("half the channels, int8", half, int8, "`pocketzoo compress`")
    yield Way(f"{ZEROS:.0%} zeros", sparse, float32, zero)
    if runtime == "tflite":
        yield Way(f"{ZEROS:.0%} zeros, left out of the file", sparse, SPARSE, zero)


def _half_the_channels(model: "keras.Model") -> "Iterator[keras.Model]":
    """One model, if that many can be removed of this one."""
    from ..training.compression.channels.apply.removal import plan_channels, remove_channels

    try:
        yield remove_channels(model, plan_channels(model, budget=f"macs:{LEFT}", scope="layer")).model
    except InputError as error:
        typer.echo(f"Half the channels is not tried: {error}", err=True)


def with_zeros(model: "keras.Model", share: float) -> "keras.Model":
    """A copy of `model` with the weights at zero that `pocketzoo prune` would set to zero for that share."""
    import keras

    from ..training.compression.weights.layer_selection import kernels_of, select_layers
    from ..training.compression.weights.masks import Masks
    from ..training.compression.weights.sparsity import Sparsity

    copy, how = keras.models.clone_model(model), Sparsity(target=share)
    copy.set_weights(model.get_weights())
    targets = select_layers(copy, how)
    Masks(kernels_of(copy, targets), how).update(list(targets.values()))
    return copy
