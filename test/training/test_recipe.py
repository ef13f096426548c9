import pytest
import yaml

from vilp_ros.errors import VilpError
from vilp_ros.share import share_dir
from vilp_ros.training.config import load_recipe

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
