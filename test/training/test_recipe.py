import pytest
import yaml
from synthetic import write_file

from vilp_ros.errors import VilpError
from vilp_ros.share import share_dir
from vilp_ros.training.config import load_recipe
from vilp_ros.training.run import train

RECIPES = sorted((share_dir() / "config/training").glob("*.yaml"))
RECIPE = share_dir() / "config/training/ldp_lift.yaml"
STUDIES = sorted((share_dir() / "config/studies").glob("*.yaml"))


@pytest.mark.parametrize("path", RECIPES, ids=lambda p: p.stem)
def test_shipped_recipes_load(path):
    recipe = load_recipe(path, ["name=x"])
    assert recipe.data.expert or recipe.data.action_free


@pytest.mark.parametrize("path", STUDIES, ids=lambda p: p.stem)
def test_the_arms_of_a_study_are_different_recipes(path):
    study = yaml.safe_load(path.read_text())
    recipe = share_dir() / study["recipe"]
    arms = [load_recipe(recipe, ["name=x", *overrides]) for overrides in study["arms"].values()]
    assert not any(a == b for i, a in enumerate(arms) for b in arms[:i])


def test_overrides_win_and_are_typed():
    recipe = load_recipe(RECIPE, ["name=x", "planner.optim.steps=7", "views=[]"])
    assert (recipe.planner.optim.steps, recipe.views) == (7, [])


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("planner.optim.step=7", "step"),
        ("planner.optim.steps=many", "many"),
        ("planner.optim.steps=0", r"planner\.optim: steps is 0"),
        ("bc.lr=.nan", "bc: lr is nan"),
        ("data.validation=1", r"data\.validation is 1\.0"),
        ("policy.n_action_steps=9", r"policy\.n_action_steps is 9, expected 1 to 8"),
        ("policy.sampler.planner_steps=101", "expected 1 to 100"),
        ("policy.idm.prediction=x", "available: sample, epsilon"),
        ("polcy.horizon=4", "polcy"),
        ("views=agentview", "views: Invalid value"),
        ("views=[agentview,agentview]", "names agentview twice"),
        ("seed=-1", "seed is -1"),
        ("policy.engine=cuda", "engine 'cuda'; available: torch"),
        ("policy.planner.width=0", "width is 0, expected 1 to"),
        ("policy.robust_encoder.blocks=1", "say robust.enabled=true"),
        ("planner.optim.lr=0", r"planner\.optim: lr is 0"),
        ("bc.ema=1", "bc: ema is 1"),
        ("idm.optim.grad_clip=0", r"idm\.optim: grad_clip is 0"),
        ("idm.noise=-1", r"idm\.noise is -1"),
        ("planner.pure_noise=7", r"planner\.pure_noise is 7"),
        ("low_level.imagined_share=.nan", r"low_level\.imagined_share is nan"),
        ("autoencoder.frozen=false", r"autoencoder\.bundle names none"),
        ("autoencoder.beta=-5", r"autoencoder\.beta is -5"),
        ("autoencoder.foresight_steps=[4,0]", "foresight_steps is 0"),
        ("autoencoder.foresight_steps=[]", "foresight_steps is empty"),
        ("robust.warp.agentview=-1", r"robust\.warp\.agentview is -1"),
        ("robust.alterations.blur=-1", r"robust\.alterations\.blur is -1"),
        ("robust.clean_share=0.9", r"drawn_share \+ clean_share is 1\.5"),
    ],
)
def test_wrong_override_is_named(override, words):
    with pytest.raises(VilpError, match=words):
        load_recipe(RECIPE, ["name=x", override])


def test_missing_recipe_is_named():
    with pytest.raises(VilpError, match="config/training"):
        load_recipe("absent.yaml")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("data: [", "expected node content"),
        ("- data", "recipe"),
        ("policy: {method: vlip}", "method 'vlip' is not installed; there are: ldp"),
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
        (["data.expert=[]"], "no demonstrations: name a file under data.expert"),
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
