from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaqnn_orch.errors import SettingsError
from metaqnn_orch.settings.sources import MAX_FILE_BYTES, Layered, load_settings
from metaqnn_orch.settings.values import flatten, known_keys, origin
from tests import built_in


def write(directory: Path, text: str | bytes) -> str:
    path = directory / "own.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


def value_and_origin(layered: Layered, key: str) -> tuple[object, str]:
    return dict(flatten(layered.settings.model_dump(mode="json")))[key], origin(key, layered.origins)


def refusal(name: str, **sources: object) -> SettingsError:
    with pytest.raises(SettingsError) as refused:
        load(name, **sources)
    assert "\n" not in str(refused.value)
    assert "\n" not in refused.value.hint
    return refused.value


def load(name: str, **sources: object) -> Layered:
    defaults: dict[str, object] = {"environment": {}, "assignments": [], "flags": {}}
    return load_settings(name, **{**defaults, **sources})  # type: ignore[arg-type]


def test_flags_win_over_the_environment_over_the_file_over_the_preset(tmp_path: Path) -> None:
    own = write(tmp_path, "preset: digits\nrecipe: {epochs: 2, batch_size: 2}\nseed: 2\nexecution: {parallel: 2}")
    layered = load(
        own,
        environment={"METAQNN_RECIPE__EPOCHS": "3", "METAQNN_SEED": "3", "METAQNN_EXECUTION__PARALLEL": "3"},
        assignments=["seed=4", "execution.parallel=4"],
        flags={"execution.parallel": 5},
    )
    assert value_and_origin(layered, "recipe.decay_epochs") == (5, "preset digits")
    assert value_and_origin(layered, "recipe.batch_size") == (2, own)
    assert value_and_origin(layered, "recipe.epochs") == (3, "METAQNN_RECIPE__EPOCHS")
    assert value_and_origin(layered, "seed") == (4, "--set seed")
    assert value_and_origin(layered, "execution.parallel") == (5, "--parallel")
    assert value_and_origin(layered, "execution.max_trials") == (None, "")
    assert value_and_origin(layered, "recipe.momentum") == (0.9, "")


def test_of_two_assignments_the_last_counts() -> None:
    assert load("digits", assignments=["seed=1", "seed=2"]).settings.seed == 2


def test_a_section_set_as_a_whole_is_merged_and_known_as_the_origin_of_its_parts() -> None:
    layered = load("digits", assignments=["recipe={epochs: 1, adam_betas: [0.5, 0.6]}", "recipe.epochs=2"])
    assert layered.settings.recipe.epochs == 2
    assert layered.settings.recipe.adam_betas == (0.5, 0.6)
    assert value_and_origin(layered, "recipe.epochs") == (2, "--set recipe.epochs")
    assert value_and_origin(layered, "recipe.adam_betas") == ([0.5, 0.6], "--set recipe")


def test_a_whole_section_takes_the_place_of_what_was_set_below_it() -> None:
    layered = load("digits", assignments=["space.pooling={shapes: [[2, 2]]}"])
    assert layered.settings.space.pooling.shapes == ((2, 2),)
    assert value_and_origin(layered, "space.pooling.shapes") == ([[2, 2]], "--set space.pooling")


def test_pairs_of_pooling_are_given_up_for_kernels_and_strides() -> None:
    wanted = ["space.pooling.shapes=null", "space.pooling.kernels=[2]", "space.pooling.strides=[1, 2]"]
    assert load("digits", assignments=wanted).settings.space.pooling.strides == (1, 2)


def test_an_empty_section_changes_nothing() -> None:
    assert load("digits", assignments=["recipe={}"]).settings == load("digits").settings


def test_a_file_may_stand_alone(tmp_path: Path) -> None:
    own = write(tmp_path, "dataset: {name: flowers}\nspace: {image_size: 32, channels: 3, classes: 5}")
    assert load(own).settings.dataset.name == "flowers"


def test_keys_of_a_file_may_be_dotted(tmp_path: Path) -> None:
    assert load(write(tmp_path, "preset: digits\nrecipe.epochs: 3")).settings.recipe.epochs == 3


def test_a_file_may_come_through_a_pipe() -> None:
    reader, writer = os.pipe()
    os.write(writer, b"preset: digits\nseed: 7")
    os.close(writer)
    assert load(f"/dev/fd/{reader}").settings.seed == 7
    os.close(reader)


@pytest.mark.parametrize("name", built_in.PRESETS)
def test_every_preset_is_whole(name: str) -> None:
    layered = load(name)
    assert layered.settings.dataset.name in name
    assert set(layered.origins.values()) == {f"preset {name}", f"dataset {layered.settings.dataset.name}"}


def test_readme_names_every_preset() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    assert {"cifar10", "digits", "mnist-table-a1", "svhn"} <= set(built_in.PRESETS)
    assert [name for name in built_in.PRESETS if f"`{name}`" not in readme] == []


def test_every_setting_has_a_variable() -> None:
    layered = load("digits")
    for key in known_keys():
        if not key.startswith(("space.pooling", "dataset.")):
            value = dict(flatten(layered.settings.model_dump(mode="json")))[key]
            text = "null" if value is None else str(value).replace("True", "true").replace("False", "false")
            variable = "METAQNN_" + key.upper().replace(".", "__")
            assert value_and_origin(load("digits", environment={variable: text}), key) == (value, variable)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"", "is empty"),
        (b"- a", "contains a list, but settings are expected"),
        (b"preset: digits\nrecipe: {epoch: 3}", "unknown setting recipe.epoch; did you mean recipe.epochs? (from "),
        (b"preset: digits\nrecipe: {epochs: three}", 'recipe.epochs must be a whole number, got "three" (from '),
        (
            b"preset: digits\nmodel: {batch_norm: yes}",
            'model.batch_norm must be true or false, got "yes", which is text: write true, without quotes (from ',
        ),
        (b"preset: digit", "there is no preset 'digit'"),
        (b"preset: [digits]", "there is no preset ['digits']"),
        (b"seed: 3", "dataset must be given (from "),
        (
            b"dataset: {name: x}",
            "space.image_size, space.channels, space.classes follow from the dataset, but dataset x",
        ),
        (b"dataset: {name: x}\nspace: {classes: 3}", "space.image_size, space.channels follow from the dataset"),
        (b"preset: digits\nseed: 1\nseed: 2", "line 3, column 1: the key seed is there twice"),
        (b"preset: digits\nseed: &a 1", "anchors"),
        (b"preset: digits\nseed: \xff", "is not UTF-8 text: invalid start byte at byte 21"),
        ("preset: digits\nseed: 1".encode("utf-16"), "is not UTF-8 text"),
        (b"preset: digits\n" + b"#" * MAX_FILE_BYTES, "is too long: a settings file has at most 65536 bytes"),
        (b"preset: digits\nrecipe: 3", "recipe must be a mapping, such as {name: value}, got 3"),
        (b"preset: digits\nrecipe: null\nrecipe.epochs: x", "recipe.epochs must be a whole number"),
        (b"preset: digits\ndataset: null", "dataset must be given (from "),
        (b"preset: digits\nrecipe: {epochs: null}", "recipe.epochs must be a whole number, got null"),
        (
            b"preset: digits\nexecution: {side_by_side: 1}",
            "execution.side_by_side is gone: a worker trains one net at a time: several in one process were slower, "
            "on GPUs too; leave it out",
        ),
        (b"preset: digits\n\xc3\xa9: 1", "unknown setting \u00e9"),
        (
            b"preset: digits\nexecution.parallel: 1\nexecution.parallel.x: 1",
            "parallel is a single value, so parallel.x does not exist",
        ),
    ],
)
def test_a_bad_file_is_refused(tmp_path: Path, text: bytes, says: str) -> None:
    name = write(tmp_path, text)
    error = refusal(name)
    assert says in str(error)
    assert name in str(error)


def test_fifty_megabytes_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "large.yaml"
    with path.open("wb") as file:
        file.truncate(50 << 20)
    assert "is too long" in str(refusal(str(path)))
    assert "is too long" in str(refusal("/dev/zero"))


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("nonsense", "'nonsense' is neither a preset nor a readable file"),
        ("", "Is a directory"),
        (".", "Is a directory"),
        ("no/such/file.yaml", "is neither a preset nor a readable file"),
        ("a\0b", "embedded null byte"),
        ("x" * 5000, "File name too long"),
        ("/dev/fd/9999", "is neither a preset nor a readable file"),
    ],
)
def test_what_is_neither_preset_nor_file_is_refused_with_the_presets(name: str, says: str) -> None:
    error = refusal(name)
    assert says in str(error)
    assert "presets: cifar10, " in error.hint
    assert len(str(error)) < 200


def test_a_preset_written_wrong_is_suggested() -> None:
    assert refusal("digit").hint.startswith("did you mean digits? ")
    assert refusal("cifar-10").hint.startswith("did you mean cifar10? ")


@pytest.mark.parametrize(
    ("variable", "value", "says", "hint"),
    [
        ("METAQNN_RECIPE__EPOCH", "3", "which is no setting", "did you mean METAQNN_RECIPE__EPOCHS?"),
        ("METAQNN_RECIPE", "{epochs: 3}", "which is no setting", "METAQNN_RECIPE__"),
        ("METAQNN_QQQQQQQQQQ", "3", "which is no setting", "METAQNN_RECIPE__EPOCHS sets recipe.epochs, and so on"),
        ("METAQNN_STORES", "x", "which is no setting", "did you mean METAQNN_STORE?"),
        ("METAQNN_RECIPE__EPOCHS", "many", "(from METAQNN_RECIPE__EPOCHS)", "config show"),
        ("METAQNN_RECIPE__EPOCHS", "", "got null (from METAQNN_RECIPE__EPOCHS)", "config show"),
        ("METAQNN_SCHEDULE__PHASES", "[{epsilon: 1", "METAQNN_SCHEDULE__PHASES, line 1", ""),
        ("METAQNN_SCHEDULE__PHASES", '{"a": "b"}', "schedule.phases must be a list", "config show"),
        ("METAQNN_SEED", "!!python/object:x.y {}", "METAQNN_SEED, line 1, column 1: the tag", ""),
    ],
)
def test_a_bad_variable_is_refused_by_its_name(variable: str, value: str, says: str, hint: str) -> None:
    error = refusal("digits", environment={variable: value})
    assert variable in str(error)
    assert says in str(error)
    assert hint in error.hint


def test_variables_of_others_are_left_alone() -> None:
    others = {"METAQNN": "x", "METAQNN_STORE": "./runs", "METAQNN_TRACEBACK": "1", "AWS_PROFILE": "y", "metaqnn_x": "z"}
    assert load("digits", environment=others) == load("digits")


@pytest.mark.parametrize(
    ("assignment", "says", "hint"),
    [
        ("recipe.epochs", "--set takes KEY=VALUE, found 'recipe.epochs'", "--set recipe.epochs=3"),
        ("=3", "--set takes KEY=VALUE", "--set recipe.epochs=3"),
        ("recipe..epochs=3", "--set takes KEY=VALUE", ""),
        ("recipe.adam_betas.0=0.9", "--set takes KEY=VALUE", ""),
        ("Recipe.epochs=3", "--set takes KEY=VALUE", ""),
        ("epochs=3", "unknown setting epochs; did you mean recipe.epochs? (from --set epochs)", ""),
        ("recpie.epochs=3", "unknown setting recpie; did you mean recipe?", ""),
        ("recipe.epoch=3", "unknown setting recipe.epoch; did you mean recipe.epochs?", ""),
        ("space.convolution={kernel: [1]}", "unknown setting space.convolution.kernel; did you mean space.conv", ""),
        ("zzz.zzz=1", "unknown setting zzz (from --set zzz.zzz)", "metaqnn-orch config show"),
        ("recipe.epochs=1e3", "recipe.epochs must be a whole number, got 1000.0", ""),
        ("recipe.epochs=0", "recipe.epochs must be greater than or equal to 1, got 0", ""),
        ("recipe.epochs=true", "recipe.epochs must be a whole number, got true", ""),
        ("recipe.epochs='3'", 'recipe.epochs must be a whole number, got "3"', ""),
        ("recipe.epochs.deep=1", "epochs is a single value, so epochs.deep does not exist", ""),
        ("recipe.adam_betas=[0.9]", "recipe.adam_betas.1 must be given", ""),
        ("recipe.learning_rate=.inf", "recipe.learning_rate must be a number, got", ""),
        ("model.activation=tanh", "model.activation must be 'relu' or 'elu', got \"tanh\"", ""),
        ("dataset.name=../x", "dataset.name: dataset '../x' is not a valid name: use 1 to 40 of a-z", ""),
        ("dataset.digest=abc", "dataset.digest", ""),
        ("space.image_size=0", "space: image_size must be between 1 and 4096", ""),
        ("space.pooling.kernels=[2]", "space.pooling: give either shapes, or both kernels and strides", ""),
        (
            "space.convolution.kernels={log_spaced: 99}",
            "space.convolution.kernels: log_spaced must be between 1 and 16",
            "",
        ),
        (
            "space.max_params=1",
            "no net stays within max_params=1, max_macs=1500000: the smallest one has 20 parameters",
            "",
        ),
        ("schedule.phases=[]", "schedule.phases", ""),
        ("schedule.phases=[{epsilon: 2, unique: 1}]", "schedule.phases.0.epsilon must be less than or equal to 1", ""),
        ("schedule.phases=[{epsilon: 1}]", "schedule.phases.0.unique must be given", ""),
        ("schedule.total=0", "schedule.total must be greater than or equal to 1, got 0", ""),
        ("execution.parallel=0", "execution.parallel must be greater than or equal to 1, got 0", ""),
        ("execution.parallel=-1", "execution.parallel must be greater than or equal to 1, got -1", ""),
        ("execution.parallel=1000000", "execution.parallel must be less than or equal to 10000", ""),
        ("execution.max_trials=0", "execution.max_trials", ""),
        ("seed=18446744073709551617", "seed must be less than 9223372036854775808", ""),
        ("seed=-1", "seed must be greater than or equal to 0", ""),
        ("seed=0.5", "seed must be a whole number", ""),
    ],
)
def test_a_bad_assignment_is_refused_and_the_right_one_suggested(assignment: str, says: str, hint: str) -> None:
    error = refusal("digits", assignments=[assignment])
    assert says in str(error)
    assert hint in error.hint


def test_a_flag_is_named_as_the_origin_of_its_error() -> None:
    assert "(from --parallel)" in str(refusal("digits", flags={"execution.parallel": 0}))
    assert "(from --max-trials)" in str(refusal("digits", flags={"execution.max_trials": -5}))


def test_several_errors_are_counted_by_place_not_by_attempt_at_reading_them() -> None:
    assert not str(refusal("digits", assignments=["space.convolution.kernels=3"])).endswith("more")
    error = refusal("digits", assignments=["recipe.epochs=x", "recipe.batch_size=x", "seed=x"])
    assert str(error).endswith(", and 2 more")


@given(st.text(max_size=30))
def test_any_assignment_is_taken_or_refused(text: str) -> None:
    try:
        load("digits", assignments=[text])
    except SettingsError as error:
        refused = str(error)
    else:
        return
    assert "\n" not in refused


def test_the_target_is_understood_by_both_its_names_from_every_source(tmp_path: Path) -> None:
    own = write(tmp_path, "preset: digits\nbudget: {target_accuracy: 0.25}\n")
    for name, sources, where in (
        (own, {}, own),
        (own, {"environment": {"METAQNN_BUDGET__TARGET_ACCURACY": "0.25"}}, "METAQNN_BUDGET__TARGET_ACCURACY"),
        (own, {"environment": {"METAQNN_BUDGET__TARGET": "0.25"}}, "METAQNN_BUDGET__TARGET"),
        (own, {"assignments": ["budget.target_accuracy=0.25"]}, "--set budget.target_accuracy"),
        ("digits", {"assignments": ["budget={target_accuracy: 0.25}"]}, "--set budget"),
        (own, {"flags": {"budget.target_accuracy": 0.25}}, "--target-accuracy"),
        (own, {"flags": {"budget.target": 0.25}}, "--target"),
    ):
        layered = load(name, **sources)
        assert value_and_origin(layered, "budget.target") == (0.25, where)
        assert layered.settings.budget.target == 0.25
    stronger = load(own, environment={"METAQNN_BUDGET__TARGET": "-3"}, flags={"budget.target_accuracy": 0.5})
    assert value_and_origin(stronger, "budget.target") == (0.5, "--target-accuracy"), "one setting by two names"
    assert load(own, assignments=["budget.target=-3.5"]).settings.budget.target == -3.5, "of any reward"


def test_the_target_by_both_names_at_once_is_a_contradiction(tmp_path: Path) -> None:
    own = write(tmp_path, "preset: digits\nbudget: {target_accuracy: 0.25, target: 0.5}\n")
    says = "budget.target_accuracy is the older name of budget.target: say one of them"
    assert str(refusal(own)) == f"{own}: {says}"
    both = {"budget.target": 0.5, "budget.target_accuracy": 0.5}
    assert str(refusal("digits", flags=both)) == f"the command line: {says}"
    assert "differ" in str(refusal("digits", assignments=["budget={target: 1, target_accuracy: 0.5}"]))


def test_a_soft_limit_has_a_name_of_its_own() -> None:
    assignments = ["objective.soft_limits.top5_error.reference=1e-1", "objective.soft_limits.top5_error.weight=0.5"]
    layered = load("digits", assignments=assignments)
    key = "objective.soft_limits.top5_error.reference"
    assert value_and_origin(layered, key) == (0.1, f"--set {key}")
    environment = {"METAQNN_OBJECTIVE__SOFT_LIMITS": "{params: {reference: 1e6, weight: 0.07}}"}
    assert load("digits", environment=environment).settings.objective.soft_limits["params"].reference == 1e6
    assert "objective.soft_limits.top5_error.weight must be given" in str(
        refusal("digits", assignments=assignments[:1])
    )
    for wrong in ("reference: 0, weight: 1", "reference: 1, weight: 0", "reference: 1, weight: 1, power: 2"):
        assert "objective.soft_limits.params" in str(
            refusal("digits", assignments=[f"objective.soft_limits.params={{{wrong}}}"])
        )


def test_another_choice_of_a_plug_in_voids_what_weaker_sources_say_of_the_first(tmp_path: Path) -> None:
    own = write(tmp_path, "preset: digits\ntask: {name: balanced, smoothing: 0.2}")
    assert load(own).settings.task.model_extra == {"smoothing": 0.2}
    assert load(own, assignments=["task.name=balanced"]).settings.task.model_extra == {"smoothing": 0.2}
    assert load(own, assignments=["task.name=classification"]).settings.task.model_extra == {}
    for assignments in (["task.name=other", "task.depth=3"], ["task.depth=3", "task.name=other"]):
        other = load(own, assignments=assignments)
        assert other.settings.task.model_extra == {"depth": 3}
        assert "task.smoothing" not in other.origins
