"""The README of a bundle."""

import re
import shlex
from urllib.parse import unquote, urlsplit

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pocketzoo import export, zoo
from pocketzoo.core.errors import InputError
from pocketzoo.export.artifact.manifest import Check
from pocketzoo.export.formats import FORMATS
from pocketzoo.export.readme.places import places
from pocketzoo.export.readme.programs import snippet_text
from pocketzoo.export.readme.readme import write_readme
from pocketzoo.export.readme.runnable_files import SAFE_NAME, files_of, fitting_snippets
from pocketzoo.export.readme.servers import server_lines
from pocketzoo.export.readme.snippet_table import NOT_RUN, SNIPPETS
from pocketzoo.export.targets import TARGETS, targets_with

LABELS = ("road | <b>", "Käse 猫", "tree")


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A bundle of a small segmentation net in `.tflite` and `.onnx`."""
    shallow = {"blocks": 1, "input_shape": (32, 48, 3)}
    net = zoo.create_model("resnet20", head="segmentation", labels=list(LABELS), **shallow)
    draw = np.random.default_rng(0)
    images = draw.integers(0, 256, (8, 4, 6, 3), "uint8").repeat(8, axis=1).repeat(8, axis=2)  # noise is refused
    masks = draw.integers(0, 3, (8, 32, 48), "int32")
    folder = tmp_path_factory.mktemp("readme") / "bundle"
    export.export_model(net, folder, targets=["mobile-gpu", "openvino"], evaluation=(images, masks))
    return folder


def test_readme_tells_files_inputs_and_outputs(exported):
    text = (exported / "README.md").read_text()
    manifest = export.Manifest.load(exported / "manifest.json")
    for record in manifest.artifacts:
        assert text.count(f"| {record.file} |") == 4, "files, inputs, outputs and measurements"
        assert f"| {record.bytes:,} |" in text
    assert "32 rows and 48 columns, RGB" in text
    assert text.count("The model knows images like those of its training only") == 1
    assert "| resnet20-fp32.onnx | image | 1 x 3 x 32 x 48 | float32 | NCHW: channels, rows, columns | pixel |" in text
    assert "for each pixel the probability of each of 3 classes" in text
    assert manifest.host in text
    assert f"The original model: mean IoU {manifest.evaluation.keras_figures['mean IoU']:.4g}" in text
    assert r"road \| \<b>, Käse 猫, tree" in text


def test_readme_tells_origin_and_license_where_they_are_known(exported, tmp_path):
    manifest = export.Manifest.load(exported / "manifest.json")
    assert "The license of the weights is not recorded" in (exported / "README.md").read_text()
    known = manifest.model.model_copy(update={"origin": "hf://timm/net", "license": "Apache-2.0"})
    for record in manifest.artifacts:
        (tmp_path / record.file).write_bytes((exported / record.file).read_bytes())
    write_readme(manifest.model_copy(update={"model": known}), tmp_path)
    assert "published weights `hf://timm/net`. Their license is Apache-2.0." in (tmp_path / "README.md").read_text()


def test_example_is_a_section_if_there_is_one(exported, tmp_path):
    manifest = export.Manifest.load(exported / "manifest.json")
    for record in manifest.artifacts:
        (tmp_path / record.file).write_bytes((exported / record.file).read_bytes())
    write_readme(manifest, tmp_path, ("`a.png` is a tree.",))
    text = (tmp_path / "README.md").read_text()
    assert "## Example\n\n`a.png` is a tree.\n\n## Measured" in text
    assert text.replace("## Example\n\n`a.png` is a tree.\n\n", "") == (exported / "README.md").read_text()


def test_labels_are_a_file_as_in_tflite_files(exported):
    assert (exported / "labels.txt").read_text(encoding="utf-8") == "\n".join(LABELS)


def test_readme_has_the_programs_that_fit(exported):
    text = (exported / "README.md").read_text()
    blocks = re.findall(r"```\w+\n(.*?)```", text, re.DOTALL)
    files = files_of(export.Manifest.load(exported / "manifest.json"), exported)
    fitting = [snippet for snippet, _ in fitting_snippets(files)]
    assert {snippet.name for snippet in fitting} == SNIPPETS.keys() - {
        "cpp-micro", "swift-coreml", "python-tf-serving", "python-triton"
    }  # fmt: skip
    assert re.findall("^### (.*)$", text, re.MULTILINE) == [snippet.title for snippet in fitting]
    assert text.count("```") == 2 * len(blocks)
    assert text.count(f"`. In the tests of pocketzoo: {NOT_RUN}.") == sum(each.tested == NOT_RUN for each in fitting)
    assert blocks == [snippet_text(snippet.name, files, "the bundle") for snippet in fitting]


def test_programs_are_for_the_file_that_suits_their_clients(exported):
    files = files_of(export.Manifest.load(exported / "manifest.json"), exported)
    assert '"resnet20-fp16.tflite"' in snippet_text("kotlin", files, "the bundle")
    assert '"resnet20-fp32.onnx"' in snippet_text("node", files, "the bundle")
    with pytest.raises(
        InputError, match=r"cannot run the bundle: its tensor image is float32, which .* int8 files of target edge-mcu"
    ):
        snippet_text("cpp-micro", files, "the bundle")


@given(st.text())
def test_name_of_a_file_cannot_end_a_text_in_a_program(name):
    if SAFE_NAME.fullmatch(name):
        assert not set(name) & set("\"'`$\\<>/\n\r{}")


def changed(manifest, **checks):
    """A manifest whose files have other checks: by format, pairs of name and reason of the skip."""
    records = [
        record.model_copy(
            update={"checks": tuple(Check(name=name, skipped=why) for name, why in checks[record.format])}
        )
        for record in manifest.artifacts
        if record.format in checks
    ]
    return manifest.model_copy(update={"artifacts": tuple(records)})


@pytest.fixture
def rewritten(exported, tmp_path):
    """Writes the README of the bundle with other facts, and returns it."""

    def write(manifest):
        for record in manifest.artifacts:
            (tmp_path / record.file).write_bytes((exported / record.file).read_bytes())
        write_readme(manifest, tmp_path)
        return (tmp_path / "README.md").read_text()

    return write


def test_readme_names_the_checks_that_ran_and_those_that_were_skipped(exported, rewritten):
    manifest = export.Manifest.load(exported / "manifest.json")
    text = rewritten(
        changed(
            manifest,
            **{
                "tflite-fp16": [("LiteRT", None), ("MediaPipe", "not installed")],
                "onnx-fp32": [("ONNX Runtime", None), ("LiteRT", "no GPU")],
            },
        )
    )
    assert "on evaluation images. Checks that ran: LiteRT; ONNX Runtime. " in text
    assert "there: MediaPipe; LiteRT (of `resnet20-fp32.onnx`). `report.md` says why, and has" in text


def test_readme_says_what_mediapipe_and_opencv_need(exported, rewritten):
    manifest = export.Manifest.load(exported / "manifest.json")
    checks = {"tflite-fp16": [("LiteRT", None), ("MediaPipe", None)], "onnx-fp32": [("OpenCV DNN", None)]}
    text = rewritten(changed(manifest, **checks))
    assert "CPUs of phones, desktops and small boards: LiteRT, MediaPipe |" in text
    assert "convert a grayscale image file, such as a PNG, to RGB before" in text
    assert 'cv2.dnn.readNetFromONNX("resnet20-fp32.onnx")' in text
    assert "MediaPipe" not in rewritten(changed(manifest, **{"onnx-fp32": [("ONNX Runtime", None)]}))


def test_mediapipe_is_not_named_as_a_place_of_files_that_it_refuses(exported, tmp_path):
    """Nor as one that nothing is known of: it is known that it takes RGB images."""
    manifest = export.Manifest.load(exported / "manifest.json")
    gray = {"model": manifest.model.model_copy(update={"image_shape": (32, 48, 1), "model": "my net"})}
    checks = {"tflite-fp16": [("LiteRT", None), ("MediaPipe", "it takes RGB images"), ("LiteRT on a GPU", "no GPU")]}
    (record,) = changed(manifest, **checks).artifacts
    record = record.model_copy(update={"input": record.input.model_copy(update={"shape": (1, 32, 48, 1)})})
    gray = manifest.model_copy(update=gray | {"artifacts": (record,)})
    (tmp_path / record.file).write_bytes((exported / record.file).read_bytes())
    write_readme(gray, tmp_path)
    text = (tmp_path / "README.md").read_text()
    (refusal,) = [line for line in text.splitlines() if "MediaPipe" in line]
    assert "it refuses these files, whose images are grayscale" in refusal
    assert "`pocketzoo export MODEL.keras --data DATA --targets mobile --rgb --out 'my net-rgb'`, where" in refusal
    assert "nothing is known of the files there: LiteRT on a GPU." in text
    write_readme(gray, tmp_path, source="best.keras --data digits")
    text = (tmp_path / "README.md").read_text()
    assert "`pocketzoo export best.keras --data digits --targets mobile --rgb --out 'my net-rgb'`." in text


@pytest.mark.parametrize("fmt", FORMATS)
def test_places_of_a_file_are_those_of_its_kind(fmt, exported):
    """Under all targets that ship it, with the runtimes that open such a file and no other."""
    (record, *_) = export.Manifest.load(exported / "manifest.json").artifacts
    targets = tuple(targets_with(FORMATS[fmt], TARGETS))
    suffix = FORMATS[fmt].suffix
    text = places(
        record.model_copy(update={"format": fmt, "file": f"net{suffix}", "targets": targets}), in_mediapipe=False
    )
    assert ("ONNX Runtime" in text, "any CPU" in text, "Triton" in text) == (
        suffix == ".onnx", suffix == ".onnx", fmt in ("onnx-fp32", "onnx-fp16")
    )  # fmt: skip
    assert ("LiteRT" in text) == (suffix == ".tflite")
    assert ("TensorFlow Serving" in text) == (suffix == ".savedmodel")
    assert ("Core ML" in text) == (suffix == ".mlpackage")
    assert ("TensorRT" in text) == (fmt in ("onnx-fp16", "onnx-int8-tensorrt"))
    assert ("MediaPipe" in text, text.strip()) == (False, text)
    assert "MediaPipe" in places(record, in_mediapipe=True)


@pytest.mark.parametrize(("count", "shown"), [(12, 12), (13, 10)])
def test_labels_are_all_shown_where_few_would_be_left_out(count, shown, exported, rewritten):
    manifest = export.Manifest.load(exported / "manifest.json")
    labels = tuple(f"label {index}" for index in range(count))
    text = rewritten(manifest.model_copy(update={"model": manifest.model.model_copy(update={"labels": labels})}))
    assert [index for index in range(count) if f"label {index}" in text] == list(range(shown))
    assert ("and 3 more." in text) == (count > shown)


def test_readme_begins_with_the_file_to_take(exported):
    text = (exported / "README.md").read_text()
    start, _, rest = text.partition("## Which file")
    assert re.findall(r"^- `(\S+)` in (.*?);", start, re.MULTILINE) == [
        ("resnet20-fp16.tflite", "Python, LiteRT"), ("resnet20-fp32.onnx", "Python, ONNX Runtime"),
    ]  # fmt: skip
    assert "Checks that ran" not in start
    assert "Checks that ran" in rest


def test_folder_that_several_files_are_in_is_listed_once(exported, rewritten):
    manifest = export.Manifest.load(exported / "manifest.json")
    records = [
        record.model_copy(
            update={"checks": (Check(name="web page", files=("index.html", f"page/{record.file}.js")), *record.checks)}
        )
        for record in manifest.artifacts
    ]
    text = rewritten(manifest.model_copy(update={"artifacts": tuple(records)}))
    (line,) = re.findall(r"^- `index.html`, `page/`: web page, made from (.*)$", text, re.MULTILINE)
    assert all(f"`{record.file}`" in line for record in records)
    assert "loads its packages from cdn.jsdelivr.net" in line


def retyped(manifest, shape, **model):
    """A manifest with another meaning of the output, and another shape of it in all files."""
    records = [
        record.model_copy(update={"output": record.output.model_copy(update={"shape": shape})})
        for record in manifest.artifacts
    ]
    return manifest.model_copy(
        update={
            "artifacts": tuple(records),
            "model": manifest.model.model_copy(update={"labels": ("no", "<b>"), **model}),
        }
    )


@pytest.mark.parametrize(("task", "shape", "place"), [
    ("classification", (1, 1), ""), ("segmentation", (1, 1, 32, 48), "for each pixel "),
])  # fmt: skip
def test_single_output_for_two_classes_is_that_of_the_second(task, shape, place, exported, rewritten):
    manifest = export.Manifest.load(exported / "manifest.json")
    onnx = manifest.model_copy(update={"artifacts": tuple(r for r in manifest.artifacts if r.file.endswith(".onnx"))})
    text = rewritten(retyped(onnx, shape, task=task))
    assert rf"is {place}the probability of the second of two classes: above 0.5 \<b> is the prediction, else no" in text
    text = rewritten(retyped(onnx, shape, task=task, from_logits=True))
    assert rf"is {place}a logit, whose sigmoid is the probability of the second of two classes: above 0 \<b>" in text
    assert "softmax" not in text.partition("## Programs")[0]


def named(manifest, name):
    """A manifest with the first file under another name, which Triton gets, too."""
    check = Check(name="Triton", files=("triton/config.pbtxt",))
    record = manifest.artifacts[0].model_copy(update={"file": name, "checks": (check,)})
    return manifest.model_copy(update={"artifacts": (record,)})


@pytest.mark.parametrize("name", ['net "x" $(id)', "a:b c", "a b", "`id`", "$HOME", "net"])
def test_commands_for_servers_do_what_they_say_whatever_the_name(name, exported):
    manifest = export.Manifest.load(exported / "manifest.json")
    text = "\n".join(server_lines(named(manifest, f"{name}.savedmodel")))
    commands = [line for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL) for line in block.splitlines()]
    mounts = [shlex.split(line)[-2] for line in commands if "tensorflow/serving" in line]
    assert mounts == ([f"$PWD/{name}.savedmodel:/models/model/1"] if SAFE_NAME.fullmatch(name) else [])
    assert ("no command for TensorFlow Serving" in text) == (not mounts)
    (url,) = re.findall(r"(http://localhost:8000/\S+/infer) ", text)
    assert not any("--gpus" in line for line in commands)
    assert unquote(urlsplit(url).path) == f"/v2/models/{name}/infer"
    assert not set("$`\"'") & set(url)


def test_readme_says_why_there_is_no_program(exported, rewritten, tmp_path):
    manifest = export.Manifest.load(exported / "manifest.json")
    (tmp_path / "a:b.onnx").touch()
    write_readme(named(manifest, "a:b.onnx"), tmp_path)
    text = (tmp_path / "README.md").read_text()
    assert "no program for any file: its name has characters with a meaning in programs; rename it.\n" in text
    wide = manifest.model.model_copy(update={"image_shape": (32, 48, 4)})
    records = tuple(
        record.model_copy(update={"input": record.input.model_copy(update={"shape": shape})})
        for record in manifest.artifacts
        for shape in [(1, 4, 32, 48) if record.file.endswith(".onnx") else (1, 32, 48, 4)]
    )
    text = rewritten(manifest.model_copy(update={"model": wide, "artifacts": records}))
    assert "no program for any file: its images have 4 channels, which image files do not have." in text
    assert "transparent" not in text


def test_programs_say_what_they_leave_to_the_user(exported):
    text = (exported / "README.md").read_text()
    assert text.count("It does not turn a photo upright by its EXIF tag") == 2, "C++ and C#"
