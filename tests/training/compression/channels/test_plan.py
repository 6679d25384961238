import json

import keras
import numpy as np
import pytest

from pocketzoo import zoo
from pocketzoo.training.compression.channels.apply.removal import plan_channels, remove_channels
from pocketzoo.training.compression.channels.plan import ChannelPlan


@pytest.fixture(scope="module")
def net():
    keras.utils.set_random_seed(0)
    return zoo.create_model("resnet20", blocks=2, input_shape=(16, 16, 3), shortcut="projection")


@pytest.fixture(scope="module")
def plan(net):
    return plan_channels(net, budget="macs:0.6", round_to=4)


def changed(plan: ChannelPlan, **kept: list[int]) -> ChannelPlan:
    return plan.model_copy(update={"kept": plan.kept | kept})


def test_plan_survives_a_round_trip_through_its_file(plan, tmp_path):
    assert ChannelPlan.load(plan.save(tmp_path / "plan.json")) == plan


def test_plan_file_has_one_line_per_layer(plan, tmp_path):
    lines = plan.save(tmp_path / "plan.json").read_text().splitlines()
    for name, kept in plan.kept.items():
        assert f'  "{name}": {json.dumps(kept)}' in {line.rstrip(",") for line in lines}


def test_edited_plan_is_applied(net, plan):
    edited = changed(plan, stage2_block1_conv1_conv=[0, 5, 7])
    removal = remove_channels(net, edited)
    assert removal.model.get_layer("stage2_block1").mid_filters == 3
    kernel = net.get_layer("stage2_block1").conv1.conv.kernel.numpy()[..., [0, 5, 7]]
    stays = plan.kept["stage1_block2_conv2_conv"]
    narrow = removal.model.get_layer("stage2_block1").conv1.conv.kernel
    np.testing.assert_array_equal(narrow, kernel[:, :, stays])


def test_plan_may_list_only_one_of_the_coupled_layers(net, plan):
    alone = plan.model_copy(update={"kept": {"stage2_block2_conv2_conv": [1, 2, 3]}})
    removal = remove_channels(net, alone)
    assert removal.plan.kept["stage2_block1_shortcut_conv"] == [1, 2, 3]
    assert removal.model.get_layer("stage2_block1").filters == 3


def test_plan_applies_to_other_weights_of_the_same_architecture(plan):
    keras.utils.set_random_seed(1)
    other = zoo.create_model("resnet20", blocks=2, input_shape=(16, 16, 3), shortcut="projection")
    assert remove_channels(other, plan).plan.kept == plan.kept


MISTAKES = {
    "another model": (lambda plan: plan.model_copy(update={"fingerprint": "0"}), "made for another model"),
    "unknown layer": (lambda plan: changed(plan, stage9_conv=[0]), "unknown layer in the plan 'stage9_conv'"),
    "no such channel": (lambda plan: changed(plan, stage1_block1_conv1_conv=[0, 99]), "its channels 0 to 15"),
    "nothing left": (lambda plan: changed(plan, stage1_block1_conv1_conv=[]), "one or more of its channels"),
    "a class": (lambda plan: changed(plan, head_dense=[0, 1]), "head_dense removes channel 2, which cannot be removed"),
    "coupled": (
        lambda plan: changed(
            plan, stage2_block1_conv2_conv=[*range(32)], stage2_block1_shortcut_conv=[0, *range(2, 32)]
        ),
        "stage2_block1_conv2_conv keeps channel 1, but stage2_block1_shortcut_conv removes its channel 1; they are",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_invalid_plan_is_refused_with_the_reason(net, plan, mistake):
    spoil, message = MISTAKES[mistake]
    with pytest.raises(zoo.InputError, match=message):
        remove_channels(net, spoil(plan))


def test_plan_that_removes_more_from_one_group_is_refused():
    model = zoo.create_model("alexnet", widths=(8, 8, 8, 8, 8), hidden=(8, 8), input_shape=(67, 67, 3))
    plan = plan_channels(model, budget="params:1")
    with pytest.raises(zoo.InputError, match=r"\[3, 4\] channels stay in the 2 groups of a convolution"):
        remove_channels(model, changed(plan, stage1_conv_conv=[0, 1, 2, 4, 5, 6, 7]))


@pytest.mark.parametrize("text", ["", "{}", '{"model": "a", "fingerprint": "b", "kept": {"c": "d"}}'])
def test_file_that_is_not_a_plan_is_refused(tmp_path, text):
    file = tmp_path / "plan.json"
    file.write_text(text)
    with pytest.raises(zoo.InputError, match=r"plan.json is not a channel plan"):
        ChannelPlan.load(file)
