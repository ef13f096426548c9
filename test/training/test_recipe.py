import pytest
import yaml
from synthetic import write_file

from vilp_ros.errors import VilpError
from vilp_ros.share import share_dir
from vilp_ros.training import run
from vilp_ros.training.config import load_recipe
from vilp_ros.training.run import train

RECIPES = sorted((share_dir() / "config/training").glob("*.yaml"))
STUDIES = sorted((share_dir() / "config/studies").glob("*.yaml"))


@pytest.mark.parametrize("path", RECIPES, ids=lambda p: p.stem)
def test_shipped_recipes_load(path):
    recipe = load_recipe(path, ["name=x"])
    assert recipe.data.expert


@pytest.mark.parametrize("path", STUDIES, ids=lambda p: p.stem)
def test_the_arms_of_a_study_are_different_recipes(path):
    study = yaml.safe_load(path.read_text())
    recipe = share_dir() / study["recipe"]
    arms = [load_recipe(recipe, ["name=x", *overrides]) for overrides in study["arms"].values()]
    assert not any(a == b for i, a in enumerate(arms) for b in arms[:i])


def test_overrides_win_and_are_typed():
    recipe = load_recipe(RECIPES[0], ["name=x", "planner.optim.steps=7", "views=[]"])
    assert (recipe.planner.optim.steps, recipe.views) == (7, [])


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("planner.optim.step=7", "step"),
        ("planner.optim.steps=many", "many"),
        ("polcy.horizon=4", "polcy"),
    ],
)
def test_wrong_override_is_named(override, words):
    with pytest.raises(VilpError, match=words):
        load_recipe(RECIPES[0], ["name=x", override])


def test_missing_recipe_is_named():
    with pytest.raises(VilpError, match="config/training"):
        load_recipe("absent.yaml")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("data: [", "expected node content"),
        ("- data", "recipe"),
        ("policy: {method: vlip}", "method 'vlip'; available: ldp, vilp, bc"),
    ],
)
def test_a_file_that_is_no_recipe_is_named(tmp_path, text, words):
    path = tmp_path / "r.yaml"
    path.write_text(text)
    with pytest.raises(VilpError, match=words):
        load_recipe(path, ["name=x"])


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["data.expert=[]"], "name at least one file under data.expert"),
        (["data.suboptimal=[{path: {}}]"], "none may play suboptimal: record some, or leave"),
        (["views=[front]"], r"has views \['agentview', 'eye_in_hand'\], not \['front'\]"),
        (["policy.method=vilp"], "kind 'spatial' or 'vqgan'"),
        (["policy.planner.kind=video"], "available: transformer, unet"),
        (["policy.autoencoder.kind=light2"], "autoencoder.kind"),
    ],
)
def test_what_cannot_be_trained_is_said_once_and_before_anything_is(tmp_path, overrides, words):
    file = str(write_file(tmp_path / "e.hdf5"))
    (tmp_path / "r.yaml").write_text(f"data: {{expert: [{{path: {file}}}]}}")
    given = ["name=x", *(override.replace("{}", file) for override in overrides)]
    with pytest.raises(VilpError, match=words):
        train(load_recipe(tmp_path / "r.yaml", given), tmp_path / "work", tmp_path / "bundle")
    assert not (tmp_path / "work").exists()


def test_a_dataset_that_grew_is_no_reason_to_mix_old_latents_with_new_episodes(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(run, "_parallel", lambda calls, jobs: None)
    monkeypatch.setattr(run, "_write_bundle", lambda recipe, work, bundle: None)
    file = write_file(tmp_path / "e.hdf5", count=2)
    (tmp_path / "r.yaml").write_text(f"data: {{expert: [{{path: {file}}}]}}")
    recipe, places = load_recipe(tmp_path / "r.yaml", ["name=x"]), (tmp_path / "w", tmp_path / "b")
    for _ in range(2):
        train(recipe, *places)
    write_file(file, count=1)
    with pytest.raises(VilpError, match="begun with 2 episodes, its datasets hold 3 now"):
        train(recipe, *places)
