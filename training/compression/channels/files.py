"""What removing channels leaves on disk: the plans, each step's run, the result and a picture."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras

from ....core.atomic_files import UNFINISHED, atomic_path
from ....core.errors import InputError
from ....zoo.fingerprint import weights_sha256
from ....zoo.saving import save_model
from ...data.images import ImageData
from ...recipe.recipe import Recipe
from .plan import ChannelPlan

if TYPE_CHECKING:
    from .prune_channels import PruneResult

SETTINGS = "pocketzoo-channels.json"
OWN = (SETTINGS, "plan.json", "result.json", "best.keras", "widths.png")


@dataclass(frozen=True)
class PruneFiles:
    """The files of one run; none where there is no path."""

    path: Path | None
    resumed: bool

    @classmethod
    def open(
        cls,
        path: str | Path | None,
        model: keras.Model,
        data: ImageData | None,
        recipe: Recipe,
        settings: dict[str, Any],
        *,
        resume: bool,
        overwrite: bool,
    ) -> "PruneFiles":
        """Makes the directory of a new run, or goes back to that of an interrupted one.

        Raises:
            InputError: The directory is in use by something else, or by a run that was made from something else.
        """
        if path is None:
            return cls(None, False)
        files = cls(Path(path), resume)
        images = None if data is None else data.fingerprint()
        made_from = {
            **settings,
            "recipe": recipe.model_dump(mode="json"),
            "model": weights_sha256(model),
            "images": images,
        }
        try:
            files._prepare(made_from, overwrite)
        except OSError as error:
            raise InputError(f"run directory {path} cannot be written: {error.strerror}.") from error
        before = json.loads((files.path / SETTINGS).read_text())
        differing = [name for name in made_from if before.get(name) != made_from[name]]
        if differing:
            raise InputError(f"run directory {path} belongs to another run: {', '.join(differing)} differs.")
        return files

    def _prepare(self, made_from: dict[str, Any], overwrite: bool) -> None:
        own = self.path / SETTINGS
        if overwrite and not self.resumed and own.exists():
            self._remove()
        self.path.mkdir(parents=True, exist_ok=True)
        for unfinished in self.path.glob(f"{UNFINISHED}*"):
            unfinished.unlink()
        if not any(self.path.iterdir()):
            self._write(SETTINGS, json.dumps(made_from, indent=1))
        elif not (self.resumed and own.exists()):
            raise InputError(
                f"run directory {self.path} is not empty; resume the run, overwrite it, or name another directory."
            )

    def _remove(self) -> None:
        """The run's own files; what somebody else keeps there stays."""
        for name in OWN:
            (self.path / name).unlink(missing_ok=True)
        for entry in self.path.glob("step*"):
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()

    def plan(self, step: int, make: Callable[[], ChannelPlan]) -> ChannelPlan:
        """The plan of a step: that of the interrupted run, or a new one."""
        if self.path is None:
            return make()
        file = self.path / f"step{step}.plan.json"
        return ChannelPlan.load(file if file.exists() else make().save(file))

    def run(self, step: int) -> Path | None:
        """The run directory of the training after a step."""
        return None if self.path is None else self.path / f"step{step}"

    def was_begun(self, step: int) -> bool:
        """Whether there is such a training to go on with."""
        return self.resumed and self.run(step).exists()

    def finish(self, result: "PruneResult") -> None:
        """Writes what people look at in the end: the model, the plan in all, the figures and the picture."""
        if self.path is None:
            return
        from .picture import draw_widths

        save_model(result.model, self.path / "best.keras")
        result.plan.save(self.path / "plan.json")
        self._write("result.json", json.dumps(result.to_dict(), indent=1))
        with atomic_path(self.path / "widths.png") as temporary:
            draw_widths(result, temporary)

    def _write(self, name: str, text: str) -> None:
        with atomic_path(self.path / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
