"""The export graph as Core ML packages, for apps on iOS and macOS."""

import re
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from ...core.errors import InputError
from ...core.output_capture import suppress_output
from ...tasks.registry import get_task
from ..artifact.directories import graph_file
from ..artifact.metadata import KEY, InputForm, Metadata
from ..artifact.standard_metadata import describe_input, describe_model
from ..artifact.tensors import RAW
from .export_graph import ExportGraph
from .provenance import artifact_metadata
from .unsupported import check_own_quantization, unsupported

IDENTIFIER = re.compile(r"[A-Za-z_]\w*", re.ASCII)
"""Names that Core ML keeps as they are, and of which Xcode can make properties in Swift."""
MISSING_OPERATOR = re.compile(r"Conversion for TF op '(\w+)' not implemented")
LABEL = "classLabel"
"""Name of the output with the best class of a classifier, as coremltools gives it."""


class CoreMLFiles:
    """Core ML packages of one model, which is converted once.

    Args:
        graph: The export graph.

    Raises:
        InputError: It was trained for integers, or Core ML cannot take its inputs.
    """

    def __init__(self, graph: ExportGraph):
        self.graph = graph
        check_own_quantization(graph.flat, ("int8", "float8"), "Core ML")
        for name in (*graph.names[0], *graph.names[1]):
            if not IDENTIFIER.fullmatch(name):
                raise InputError(
                    f"{graph.metadata.model} has the input or output {name!r}, and Core ML takes letters, digits and _ "
                    "in names; rename it."
                )

    def write(self, format_name: str, path: Path) -> None:
        """Write the package of `coreml-fp16`, or of `coreml-int8`, whose weights are integers.

        Raises:
            InputError: A layer computes what Core ML does not have.
        """
        with suppress_output():
            import coremltools

            metadata = artifact_metadata(self.graph, format_name)
            model = self._model if format_name == "coreml-fp16" else _with_integer_weights(self._model)
            spec = model.get_spec()
            self._name_features(spec)
            _describe(spec, metadata)
            package = coremltools.models.MLModel(spec, weights_dir=model.weights_dir, skip_model_load=True)
            package.save(str(path))
        graph_file(path).chmod((path / "Manifest.json").stat().st_mode)  # coremltools lets nobody else read it

    @cached_property
    def _model(self) -> Any:
        """The package with weights and arithmetic in float16."""
        with suppress_output():
            import coremltools

            _add_complementary_error_function()
            function = self._function
            self._check_replaced()
            try:
                return coremltools.convert(
                    [function],
                    source="tensorflow",
                    convert_to="mlprogram",
                    inputs=[
                        _input_type(tensor, form)
                        for tensor, form in zip(function.inputs, self.graph.metadata.input_forms.values(), strict=True)
                    ],
                    **self._output_types(),
                    minimum_deployment_target=coremltools.target.iOS16,
                    compute_precision=coremltools.precision.FLOAT16,
                    skip_model_load=True,
                )
            except NotImplementedError as error:
                found = MISSING_OPERATOR.search(str(error))
                if found is None:
                    raise
                names = [node.name for node in function.graph.as_graph_def().node if node.op == found[1]]
                raise unsupported(found[1], names, self.graph.scopes, self.graph.metadata.model, "Core ML") from error

    @cached_property
    def _function(self) -> Any:
        return self.graph.trace().function

    def _check_replaced(self) -> None:
        """Raise InputError where coremltools would silently put a similar operation in place of one."""
        for operation in self._function.graph.get_operations():
            kind = _replaced(operation)
            if kind is not None:
                raise unsupported(kind, [operation.name], self.graph.scopes, self.graph.metadata.model, "Core ML")

    def _output_types(self) -> dict[str, Any]:
        """The arguments for outputs: labels, where the only one is a probability for each, else arrays of float32.

        With labels, Core ML returns the best one and a dict of all probabilities, as Vision expects.
        """
        import coremltools

        metadata = self.graph.metadata
        labels, task = list(metadata.labels), get_task(metadata.task)
        is_classifier = (
            metadata.is_plain
            and task.figure_name == "probability"
            and task.activation == "softmax"
            and not metadata.from_logits
            and self._function.outputs[0].shape[-1] == len(set(labels)) == len(labels)
        )
        if is_classifier:
            return {"classifier_config": coremltools.ClassifierConfig(labels, predicted_feature_name=LABEL)}
        return {"outputs": [coremltools.TensorType(_name(end), dtype=np.float32) for end in self._function.outputs]}

    def _name_features(self, spec: Any) -> None:
        """Give inputs and outputs the names of the model; those of a classifier have their own."""
        from coremltools.models.utils import rename_feature

        for tensor, name in zip(self._function.inputs, self.graph.names[0], strict=True):
            rename_feature(spec, _name(tensor), name, rename_outputs=False)
        if not spec.description.predictedFeatureName:
            for tensor, name in zip(self._function.outputs, self.graph.names[1], strict=True):
                rename_feature(spec, _name(tensor), name, rename_inputs=False)


def _name(tensor: tf.Tensor) -> str:
    """Name of an end of a traced function."""
    return tensor.name.partition(":")[0]


def _replaced(operation: tf.Operation) -> str | None:
    """What an operation is that coremltools 9 replaces, by another padding or by bilinear sampling; None of others."""
    if operation.type == "MirrorPad" and operation.get_attr("mode") == b"SYMMETRIC":
        return "MirrorPad with mode SYMMETRIC"
    if operation.type == "ResizeNearestNeighbor":
        before, after = operation.inputs[0].shape[1:3], operation.outputs[0].shape[1:3]
        if before.is_fully_defined() and after.is_fully_defined() and after[0] < before[0] and after[1] < before[1]:
            return "ResizeNearestNeighbor to a smaller size"
    return None


def _add_complementary_error_function() -> None:
    """Teach coremltools TensorFlow's `Erfc`, of which Keras makes the exact GELU."""
    from coremltools.converters.mil import Builder, register_tf_op

    def erfc(context: Any, node: Any) -> None:
        x = context[node.inputs[0]]
        context.add(node.name, Builder.sub(x=1.0, y=Builder.erf(x=x), name=node.name))

    register_tf_op(_func=erfc, tf_alias=["Erfc"], override=True)


def _input_type(tensor: tf.Tensor, form: InputForm) -> Any:
    """What an input is in Core ML: pixels are images from 0 to 255, whatever range the model takes."""
    import coremltools

    name, shape = _name(tensor), tuple(tensor.shape)
    if form.pixel_range is None or shape[-1] not in (1, 3):
        return coremltools.TensorType(name, shape, np.int32 if tensor.dtype.is_integer else np.float32)
    (low, high), layout = form.pixel_range, coremltools.colorlayout
    return coremltools.ImageType(
        name,
        shape,
        scale=(high - low) / 255,
        bias=low if shape[-1] == 1 else [low] * 3,
        color_layout=layout.GRAYSCALE if shape[-1] == 1 else layout.RGB,
    )


def _with_integer_weights(model: Any) -> Any:
    """Quantize weights to int8, with a scale for each channel; arithmetic stays in float16."""
    from coremltools.optimize import coreml

    config = coreml.OptimizationConfig(global_config=coreml.OpLinearQuantizerConfig(mode="linear_symmetric"))
    return coreml.linear_quantize_weights(model, config=config)


def _describe(spec: Any, metadata: Metadata) -> None:
    """Write what is known of the model."""
    description, forms = spec.description, metadata.input_forms
    for feature in description.input:
        form = forms.get(feature.name) or forms[""]
        is_image = feature.type.WhichOneof("Type") == "imageType"
        feature.shortDescription = describe_input(form.model_copy(update={"pixel_range": RAW}) if is_image else form)
    about = description.metadata
    about.shortDescription = describe_model(metadata)
    about.author = f"pocketzoo {version('pocketzoo')}"
    about.versionString = metadata.weights_sha256[:12]
    about.license = metadata.license or ""
    about.userDefined[KEY] = metadata.model_dump_json()
