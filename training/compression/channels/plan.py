"""A plan of which channels to remove, as a file that can be read, edited and applied again."""

import json
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from ....core.atomic_files import atomic_path
from ....core.errors import InputError, describe
from ....core.input_files import read_file
from ....core.limits import TEXT_BYTES
from ....core.short_repr import ShortRepr


class ChannelPlan(ShortRepr, BaseModel):
    """Which output channels of which layers are kept; layers that follow, such as normalization, are narrowed too."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    """Name of the model that the plan was made for."""
    fingerprint: str
    """Hash of that model's architecture; its weights may differ."""
    kept: dict[str, list[int]]
    """By convolution or dense layer of the flat form: the kept output channels, in order. A layer that is not listed
    loses channels only with those that it is coupled with."""
    difference: float | None = None
    """Once the plan was applied: difference of the narrower model's outputs from those of the original with these
    channels masked, as a share of the largest output."""

    def save(self, path: str | Path) -> Path:
        """Write the plan as JSON, one line per layer."""
        layers = ",\n".join(f"  {json.dumps(name)}: {json.dumps(kept)}" for name, kept in self.kept.items())
        head = f'"model": {json.dumps(self.model)},\n "fingerprint": {json.dumps(self.fingerprint)}'
        head += f',\n "difference": {json.dumps(self.difference)}'
        with atomic_path(path) as temporary:
            temporary.write_text(f'{{\n {head},\n "kept": {{\n{layers}\n }}\n}}\n', encoding="utf-8")
        return Path(path)

    @classmethod
    def load(cls, path: str | Path) -> "ChannelPlan":
        """Read a plan that `save` wrote, possibly edited since.

        Raises:
            InputError: The file does not exist, or is not a plan.
        """
        try:
            return cls.model_validate_json(read_file(path, TEXT_BYTES, "a plan"))
        except ValidationError as error:
            raise InputError(f"{path} is not a channel plan: {describe(error)}.") from error
