"""Writes docs/recipe.md from the recipe's schema.

python docs/make_recipe.py
"""

import inspect
import json
from pathlib import Path
from typing import Any, get_args

from pocketzoo.core.atomic_files import atomic_path
from pocketzoo.tasks import get_task, task_names
from pocketzoo.training.recipe import augmentation, loss, optimizer, schedule
from pocketzoo.training.recipe.data import Data
from pocketzoo.training.recipe.recipe import FineTuneRecipe, Recipe
from pocketzoo.training.recipe.section import Section

PAGE = Path(__file__).with_name("recipe.md")
HEAD = """# Recipes

Generated from the schema in `training/recipe/` by `make docs`; do not edit.

A recipe describes a training run. It is a YAML file (`--recipe my.yaml`, `training.Recipe.load`) or a Python object
(`training.Recipe(epochs=60, optimizer={"name": "nesterov", "lr": 0.05})`). Omitted fields have their defaults; an
unknown field or an invalid value is an error that names the field. On the command line, `--set` changes fields:
`--set epochs=60 --set optimizer.lr=0.1 --set augmentation='[flip, {name: mixup}]'`. For a section that is selected by
its `name`, the name alone is enough: `optimizer: lion`.

```yaml
epochs: 60
optimizer: {name: nesterov, lr: 0.05, clip_norm: 1.0, ema: 0.999}
schedule: {name: cosine, warmup_epochs: 3}
loss: {name: cross_entropy, label_smoothing: 0.1}
augmentation: [flip, {name: crop, smallest: 0.4}, {name: mixup, alpha: 0.2}]
data: {class_weights: inverse_root}
early_stopping: 10
```
"""


def page() -> str:
    """The page as Markdown."""
    parts = [
        HEAD,
        "## Fields\n\n" + _table(Recipe),
        "## Additional fields for fine-tuning\n\nFields of `training.FineTuneRecipe`, for `training.fine_tune`.\n\n"
        + _table(FineTuneRecipe, without=Recipe),
        "## `data`\n\n" + _table(Data),
        _choices("optimizer", optimizer.Optimizer),
        _choices("schedule", schedule.Schedule),
        _choices("loss", loss.Loss) + "\n\n" + _tasks(),
        _choices("augmentation", augmentation.Transformation),
    ]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _table(section: type[Section], without: type[Section] | None = None) -> str:
    inherited = without.model_fields if without else {}
    rows = [
        f"| `{name}` | {_default(field.default)} | {_line(field.description)} |"
        for name, field in section.model_fields.items()
        if name not in inherited or field.default != inherited[name].default
    ]
    return "\n".join(["| field | default | description |", "| --- | --- | --- |", *rows])


def _choices(field: str, union: Any) -> str:
    """One row for each name that a section can be chosen by."""
    rows = []
    for section in get_args(get_args(union)[0]):
        own = {name: info for name, info in section.model_fields.items() if name != "name"}
        fields = ", ".join(
            f"`{name}`" if info.is_required() else f"`{name}: {_plain(info.default)}`" for name, info in own.items()
        )
        rows.append(f"| `{section.model_fields['name'].default}` | {fields} | {_line(inspect.getdoc(section))} |")
    return "\n".join([f"## `{field}`", "", "| name | fields | description |", "| --- | --- | --- |", *rows])


def _tasks() -> str:
    tasks = [task for task in map(get_task, task_names()) if task.losses]
    lines = (f"- {task.name}: {', '.join(f'`{name}`' for name in task.losses)}" for task in tasks)
    return "Losses for each task; the first is the default:\n\n" + "\n".join(lines)


def _default(value: Any) -> str:
    if isinstance(value, Section):
        return ", ".join(f"`{name}: {_plain(of)}`" for name, of in value.explicit_fields().items()) or "all defaults"
    return f"`{_plain(value)}`"


def _plain(value: Any) -> str:
    """As YAML has it, in one line."""
    return value if isinstance(value, str) else json.dumps(value)


def _line(text: str | None) -> str:
    return " ".join((text or "").split()).replace("|", "\\|")


def main() -> None:
    """Writes the page."""
    with atomic_path(PAGE) as temporary:
        temporary.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
