import numpy as np
import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaler import Budget, InputError, Shares, Triangle, load_space
from scaler.samplers import TriangleSampler, distributions, params_to_shares, shares_to_params

optuna.logging.set_verbosity(optuna.logging.WARNING)


@pytest.fixture(scope="module")
def triangle() -> Triangle:
    root = load_space("resnet").root(resolution=32, num_classes=10, in_channels=1)
    return Triangle(root, Budget(macs="12M"))


def search(triangle: Triangle, inner: str, trials: int, seed: int = 0) -> optuna.Study:
    """A search whose accuracy is best where width gets 0.6 and resolution 0.3."""
    study = optuna.create_study(direction="maximize", sampler=TriangleSampler(triangle, inner, seed))
    for _ in range(trials):
        trial = study.ask(distributions())
        shares = params_to_shares(trial.params)
        trial.set_user_attr("digest", triangle.at(shares).digest)
        trial.set_user_attr("architecture", triangle.at(shares).to_dict())
        study.tell(trial, 1 - (shares.width - 0.6) ** 2 - (shares.resolution - 0.3) ** 2)
    return study


@given(st.floats(0, 1), st.floats(0, 1))
def test_every_point_of_the_square_is_a_rule(depth: float, part: float) -> None:
    shares = params_to_shares({"depth_share": depth, "width_of_rest": part})
    assert sum(shares.to_list()) == pytest.approx(1)


@given(st.lists(st.floats(0.001, 1), min_size=3, max_size=3))
def test_rules_survive_their_parameters(weights: list[float]) -> None:
    shares = Shares(*(np.array(weights) / sum(weights)).tolist())
    assert params_to_shares(shares_to_params(shares)).to_list() == pytest.approx(shares.to_list(), abs=1e-9)


@pytest.mark.parametrize("inner", ["tpe", "random"])
def test_no_network_is_proposed_twice(triangle: Triangle, inner: str) -> None:
    study = search(triangle, inner, 40)
    digests = [trial.user_attrs["digest"] for trial in study.trials]
    assert len(set(digests)) == 40


def test_a_search_is_fixed_by_its_seed(triangle: Triangle) -> None:
    params = [[trial.params for trial in search(triangle, "tpe", 15, seed).trials] for seed in (1, 1, 2)]
    assert params[0] == params[1]
    assert params[0] != params[2]


def test_tpe_learns_where_accuracy_is(triangle: Triangle) -> None:
    values = [trial.value or 0.0 for trial in search(triangle, "tpe", 40).trials]
    assert np.mean(values[20:]) > np.mean(values[:10])


def test_unseen_networks_run_out(triangle: Triangle) -> None:
    sampler = TriangleSampler(triangle)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    total = len(triangle.enumerate())
    assert sampler.unseen(study) == total
    searched = search(triangle, "random", 10)
    assert total - 10 <= sampler.unseen(searched) < total


def test_only_the_triangles_parameters_are_sampled(triangle: Triangle) -> None:
    study = optuna.create_study(sampler=TriangleSampler(triangle))
    with pytest.raises(ValueError, match="'x' is no parameter of the triangle"):
        study.ask().suggest_float("x", 0, 1)
    with pytest.raises(InputError, match="sampler: 'tpo' is unknown"):
        TriangleSampler(triangle, "tpo")
