"""The files of a run that removes channels: the plans, the run of each step, the result and a picture."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras

from ....core.atomic_files import atomic_path
from ....core.work_directory import WorkDirectory
from ....zoo.fingerprint import weights_sha256
from ....zoo.saving import save_model
from ...data.images import ImageData
from ...recipe.recipe import Recipe
from .plan import ChannelPlan

if TYPE_CHECKING:
    from .prune_result import PruneResult

SETTINGS = "pocketzoo-channels.json"
STEPS = ("[0-9]", "[0-9][0-9]", "[0-9][0-9][0-9]")
"""Patterns of the numbers of steps."""
RESULTS = (
    *("plan.json", "result.json", "best.keras", "widths.png"),
    *(f"step{number}{end}" for number in STEPS for end in ("", ".plan.json")),
)
EXPLANATIONS = {
    "model": "the model's weights are different",
    "images": "the images or their labels are different",
}


@dataclass(frozen=True)
class PruneFiles:
    """The files of one run; nothing is written if there is no path."""

    path: Path | None
    resumed: bool

    @classmethod
    @contextmanager
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
    ) -> Iterator["PruneFiles"]:
        """Yield the files of a new run, or of an interrupted one, whose directory is locked during the block.

        Raises:
            InputError: The directory has other files, or another run, or cannot be written.
        """
        if path is None:
            yield cls(None, False)
            return
        files = cls(Path(path), resume)
        made_from = {
            **settings,
            "recipe": recipe.model_dump(mode="json"),
            "model": weights_sha256(model),
            "images": None if data is None else data.fingerprint(),
        }
        with files._directory.lock():
            files._directory.open(made_from, resume=resume, overwrite=overwrite)
            yield files

    @property
    def _directory(self) -> WorkDirectory:
        assert self.path is not None
        return WorkDirectory(self.path, "run", SETTINGS, RESULTS, EXPLANATIONS)

    def plan(self, step: int, make: Callable[[], ChannelPlan]) -> ChannelPlan:
        """Return the plan of a step: that of the interrupted run, or a new one, which is saved."""
        if self.path is None:
            return make()
        file = self.path / f"step{step}.plan.json"
        return ChannelPlan.load(file if file.exists() else make().save(file))

    def run(self, step: int) -> Path | None:
        """Return the run directory of the training after a step."""
        return None if self.path is None else self.path / f"step{step}"

    def was_begun(self, step: int) -> bool:
        """Whether the training after a step can be resumed."""
        return self.resumed and self.run(step).exists()

    def finish(self, result: "PruneResult") -> None:
        """Write the results: the model, the whole plan, the figures and the picture."""
        if self.path is None:
            return
        from .picture import draw_widths

        save_model(result.model, self.path / "best.keras")
        result.plan.save(self.path / "plan.json")
        self._directory.write("result.json", json.dumps(result.to_dict(), indent=1))
        with atomic_path(self.path / "widths.png") as temporary:
            draw_widths(result, temporary)
