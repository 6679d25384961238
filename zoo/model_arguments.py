"""Models as arguments of verbs: each verb works on the functional form of any model."""

import sys
from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from functools import wraps
from inspect import signature
from typing import Any, ParamSpec, TypeVar

import keras

from ..core.arguments import bind_arguments
from ..core.errors import InputError
from .contract import copy_contract, withdrawn_if_refused
from .functional_form import functional_form
from .saved_model import is_saved_model

COMPUTING = ("evaluate", "write_report", "export_model")
"""Verbs that need no layers, and so work on a SavedModel."""
Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def functional_argument(model: keras.Model) -> keras.Model:
    """Return the functional form of an argument, about which the same is stated."""
    form = functional_form(model)
    if form is not model:
        copy_contract(model, form)
    return form


def accepts_any_model(verb: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Let `verb` work on the functional form of the models among its arguments.

    What is stated about the form holds for the model afterwards, unless the verb refuses it. Where the result has a
    `model` that is the form of an argument, it becomes that argument again.
    """
    parameters = signature(verb)

    @wraps(verb)
    def with_functional_forms(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        bound = bind_arguments(verb, parameters, args, kwargs)
        models = {name: value for name, value in bound.arguments.items() if isinstance(value, keras.Model)}
        if models and parameters.parameters.keys() & {"recipe", "spec"}:
            report_own_training(next(iter(models.values())))
        forms = {name: functional_argument(model) for name, model in models.items()}
        for model in models.values():
            if is_saved_model(model) and verb.__name__ not in COMPUTING:
                raise InputError(
                    f"{model.name} is a SavedModel, of which only the function is known; {verb.__name__} needs its "
                    "layers, from a .keras or .h5 file."
                )
        others = [(model, forms[name]) for name, model in models.items() if forms[name] is not model]
        bound.arguments.update(forms)
        try:
            with withdrawn_if_refused(forms.values()):
                result = verb(*bound.args, **bound.kwargs)
        finally:
            for model, form in others:
                copy_contract(form, model)
        return _with_originals(result, others)

    return with_functional_forms


def report_own_training(model: keras.Model) -> None:
    """Print which own method of a model is not used where it is trained by a recipe."""
    for method in ("train_step", "compute_loss"):
        if getattr(type(model), method) is not getattr(keras.Model, method):
            print(
                f"{model.name} has its own {method}, which is not used here: its layers are trained by the recipe.",
                file=sys.stderr,
            )


def _with_originals(result: Any, others: list[tuple[keras.Model, keras.Model]]) -> Any:
    if is_dataclass(result) and any(field.name == "model" for field in fields(result)):
        for model, form in others:
            if getattr(result, "model") is form:  # noqa: B009 (not every dataclass has it)
                return replace(result, model=model)  # type: ignore[type-var]
    return result
