import copy
import math
import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState

from scaler import Budget, Budgets, InputError, load_space
from scaler.samplers import BudgetSampler, Domain
from scaler.samplers.observations import Points, observations
from tests.samplers.spaces import Box, Grid

optuna.logging.set_verbosity(optuna.logging.WARNING)

NETWORKS = len(Grid().candidates(np.random.default_rng(0), 1000))


def accuracy(params: dict[str, Any]) -> float:
    """Best at depth 5 and width 9."""
    return 1 - 0.1 * math.log(params["depth"] / 5) ** 2 - 0.1 * math.log(params["width"] / 9) ** 2


def new_study(seed: int = 0, direction: str = "maximize", **options: Any) -> optuna.Study:
    return optuna.create_study(direction=direction, sampler=BudgetSampler(Grid(), seed, **options))


def search(study: optuna.Study, trials: int, value: Callable[[dict[str, Any]], float] = accuracy) -> optuna.Study:
    for _ in range(trials):
        trial = study.ask(Grid().distributions)
        study.tell(trial, value(trial.params))
    return study


def asked(study: optuna.Study, count: int) -> list[optuna.Trial]:
    return [study.ask(Grid().distributions) for _ in range(count)]


def points(trials: list[Any]) -> list[tuple[int, int]]:
    return [(trial.params["depth"], trial.params["width"]) for trial in trials]


# -- what it proposes


def test_every_network_within_budget_once(caplog: pytest.LogCaptureFixture) -> None:
    study = search(new_study(), NETWORKS - 1)
    sampler = study.sampler
    assert isinstance(sampler, BudgetSampler)
    assert sampler.unseen(study) == 1
    search(study, 1)
    assert sampler.unseen(study) == 0
    assert len(set(points(study.trials))) == NETWORKS
    assert all(depth * width <= Grid.limit for depth, width in points(study.trials))
    assert "taken" not in caplog.text
    search(study, 1)
    assert f"every candidate of the space is taken; trial {NETWORKS} repeats one" in caplog.text


def test_it_finds_the_best_sooner_than_chance() -> None:
    def until_best(order: list[tuple[int, int]]) -> int:
        return order.index((5, 9))

    found = [until_best([*points(search(new_study(seed), 24).trials), (5, 9)]) for seed in range(6)]
    assert np.mean(found) < 18  # at random the mean is 53


def test_it_minimises_too() -> None:
    up = search(new_study(), 15)
    down = search(new_study(direction="minimize"), 15, lambda params: -accuracy(params))
    assert points(up.trials) == points(down.trials)
    assert isinstance(down.sampler, BudgetSampler)
    assert down.sampler.recommend(down).number == up.sampler.recommend(up).number


def test_noise_and_a_space_larger_than_the_pool() -> None:
    space = Box({"x": FloatDistribution(-1, 1), "y": FloatDistribution(-1, 1)})
    rng = np.random.default_rng(0)
    study = optuna.create_study(direction="maximize", sampler=BudgetSampler(space, pool=300))
    for _ in range(30):
        trial = study.ask(space.distributions)
        distance = (trial.params["x"] - 0.5) ** 2 + (trial.params["y"] + 0.5) ** 2
        study.tell(trial, -distance + 0.03 * rng.normal())
    late = np.array([[trial.params["x"], trial.params["y"]] for trial in study.trials[-10:]])
    assert np.abs(np.median(late, axis=0) - [0.5, -0.5]).max() < 0.25
    best = study.sampler.recommend(study).params
    assert abs(best["x"] - 0.5) < 0.3
    assert abs(best["y"] + 0.5) < 0.3
    assert 0 < study.sampler.unseen(study) <= 300


def test_a_space_that_knows_what_is_near_is_searched_near_the_good() -> None:
    """In eight dimensions a random draw hardly ever comes close to the best."""

    class Near(Box):
        def near(self, rng: np.random.Generator, candidates: list[dict[str, Any]], n: int) -> list[dict[str, Any]]:
            steps = rng.normal(scale=0.1, size=(n, len(self.distributions)))
            parents = rng.integers(len(candidates), size=n)
            values = np.array([list(params.values()) for params in candidates])
            rows = np.clip(values[parents] + steps, -1, 1).tolist()
            return [dict(zip(self.distributions, row, strict=True)) for row in rows]

    def best(kind: type[Box], seed: int) -> float:
        space = kind({f"x{index}": FloatDistribution(-1, 1) for index in range(8)})
        study = optuna.create_study(direction="maximize", sampler=BudgetSampler(space, seed, startup=4, pool=256))
        for _ in range(50):
            trial = study.ask({**space.distributions, "other": FloatDistribution(0, 1)})
            study.tell(trial, -sum((trial.params[name] - 0.3) ** 2 for name in space.distributions))
        return study.best_value

    near, far = (np.mean([best(kind, seed) for seed in range(2)]) for kind in (Near, Box))
    assert near > 0.5 * far


def test_the_first_proposals_fill_the_space() -> None:
    def hole(chosen: list[tuple[int, int]]) -> float:
        """The farthest that a network of the space lies from the nearest chosen one."""
        space = Grid()
        every = space.features(space.candidates(np.random.default_rng(0), 1000))[:, :2]
        some = np.log(np.array(chosen, float))
        return float(np.sqrt(((every[:, None] - some) ** 2).sum(axis=2)).min(axis=1).max())

    rng = np.random.default_rng(0)
    every = Grid().candidates(rng, 1000)
    by_chance = [
        hole([(p["depth"], p["width"]) for p in rng.choice(np.array(every, object), 8, replace=False)])
        for _ in range(200)
    ]
    ours = [hole(points(asked(new_study(seed), 8))) for seed in range(20)]
    assert np.mean(ours) < np.quantile(by_chance, 0.25)


def test_in_a_small_space_the_blind_beginning_takes_a_fifth_of_it_at_most() -> None:
    """What the others say decides the first proposal that is not blind."""

    class Small(Grid):
        limit = 10

    networks = len(Small().candidates(np.random.default_rng(0), 1000))
    startup = networks // 5
    assert 2 < startup < 8

    def proposed(after: int, sign: int) -> list[tuple[int, int]]:
        study = optuna.create_study(direction="maximize", sampler=BudgetSampler(Small()))
        for _ in range(after):
            trial = study.ask(Small().distributions)
            study.tell(trial, sign * trial.params["depth"])
        return points([*study.trials, study.ask(Small().distributions)])

    assert proposed(startup - 1, 1) == proposed(startup - 1, -1)
    assert proposed(startup, 1) != proposed(startup, -1)


def test_names_of_one_network_are_one_point() -> None:
    class Doubled(Grid):
        def __init__(self) -> None:
            super().__init__()
            self.distributions["name"] = CategoricalDistribution(["a", "b"])

        def candidates(self, rng: np.random.Generator, n: int) -> list[dict[str, Any]]:
            return [{**params, "name": name} for params in super().candidates(rng, n) for name in ("a", "b")][:n]

    sampler = BudgetSampler(Doubled())
    study = optuna.create_study(direction="maximize", sampler=sampler)
    assert sampler.unseen(study) == NETWORKS
    for _ in range(30):
        trial = study.ask(Doubled().distributions)
        study.tell(trial, accuracy(trial.params))
    assert len(set(points(study.trials))) == 30
    assert sampler.unseen(study) == NETWORKS - 30


# -- determinism


def test_a_search_is_fixed_by_its_seed() -> None:
    first, again, other = (points(search(new_study(seed), 20).trials) for seed in (1, 1, 2))
    assert first == again
    assert first[:8] != other[:8]


@pytest.mark.parametrize("done", [5, 12, 53])
def test_a_resumed_search_proposes_what_an_uninterrupted_one_would(done: int) -> None:
    whole = search(new_study(), done + 4)
    part = search(new_study(), done)
    part.sampler = BudgetSampler(Grid(), 0)
    assert points(search(part, 4).trials) == points(whole.trials)
    part = search(new_study(), done)
    part.sampler = pickle.loads(pickle.dumps(part.sampler))
    assert points(search(part, 4).trials) == points(whole.trials)


def test_parameters_that_are_not_the_spaces_follow_from_the_seed_too() -> None:
    def rates(seed: int) -> list[float]:
        trials = asked(new_study(seed), 3)
        return [trial.suggest_float(name, 0, 1) for trial in trials for name in ("rate", "decay")]

    assert rates(1) == rates(1)
    assert len({*rates(1), *rates(2)}) == 12


def test_a_sampler_can_serve_two_studies() -> None:
    sampler = BudgetSampler(Grid(), 0)
    one, two = (optuna.create_study(direction="maximize", sampler=sampler) for _ in range(2))
    for _ in range(15):
        search(one, 1)
        search(two, 1, lambda params: -accuracy(params))
    assert points(one.trials) == points(search(new_study(), 15).trials)
    assert points(two.trials) == points(search(new_study(), 15, lambda params: -accuracy(params)).trials)


# -- trials that are not complete


@pytest.mark.parametrize("told", [0, 12])
def test_concurrent_asks_get_different_points(told: int) -> None:
    study = search(new_study(), told)
    asked(study, 64)
    assert len(set(points(study.trials))) == told + 64


def test_concurrent_points_are_sensible() -> None:
    """Most lie among the best; some go where nothing is known, since the best are being evaluated already."""
    rng = np.random.default_rng(1)
    study = search(new_study(), 20, lambda params: accuracy(params) + 0.01 * rng.normal())
    values = [accuracy(trial.params) for trial in asked(study, 16)]
    every = [accuracy(params) for params in Grid().candidates(rng, 1000)]
    assert np.median(values) > np.quantile(every, 0.8)


def test_threads_that_have_not_asked_for_their_parameters_yet() -> None:
    study = new_study()
    trials = [study.ask() for _ in range(40)]
    with ThreadPoolExecutor(8) as pool:
        chosen = list(
            pool.map(lambda trial: (trial.suggest_int("depth", 1, 12), trial.suggest_int("width", 1, 12)), trials)
        )
    assert len(set(chosen)) == 40


def test_proposals_that_no_trial_has_stored_yet_are_taken() -> None:
    study = search(new_study(), 12)
    numbers = [study.ask().number for _ in range(3)]
    proposals = [
        study.sampler.sample_relative(study, study.get_trials()[number], dict(Grid().distributions))
        for number in numbers
    ]
    assert len({(params["depth"], params["width"]) for params in proposals}) == 3


def test_what_is_running_is_not_proposed_as_promising_again() -> None:
    """A pending point takes the doubt, and with it the promise, from its neighbours."""
    study = search(new_study(), 12)
    alone = copy.deepcopy(study)
    first = asked(alone, 1)[0]
    asked(study, 1)
    second, third = asked(study, 2)
    assert points([second])[0] != points([first])[0]
    assert points([third])[0] not in points([first, second])


def test_failed_trials_never_stop_it() -> None:
    study = new_study()
    for trial in asked(study, 10):
        study.tell(trial, state=TrialState.FAIL)
    search(study, 10)
    for trial in asked(study, 5):
        study.tell(trial, math.nan)  # Optuna fails it
    search(study, 10)
    assert len(set(points(study.trials))) == 35
    assert [trial.state for trial in study.trials].count(TrialState.FAIL) == 15


def test_infinite_values_say_nothing() -> None:
    study = search(new_study(), 10)
    for trial, value in zip(asked(study, 3), (math.inf, -math.inf, 0.5), strict=True):
        study.tell(trial, value)
    assert [number for number, *_ in told(study)] == [*range(10), 12]
    search(study, 5)
    assert math.isfinite(study.sampler.recommend(study).value)
    assert len(set(points(study.trials))) == 18


def prune(study: optuna.Study, trial: optuna.Trial, values: dict[int, float]) -> None:
    for step, value in values.items():
        trial.report(value, step)
    study.tell(trial, state=TrialState.PRUNED)


def complete(study: optuna.Study, gain: Callable[[int], float], count: int) -> None:
    """Trials that report what is `gain` below their end at steps 1 and 2."""
    for index, trial in enumerate(asked(study, count)):
        for step in (1, 2):
            trial.report(accuracy(trial.params) - gain(index) / step, step)
        study.tell(trial, accuracy(trial.params))


def told(study: optuna.Study) -> list[tuple[int, float, float]]:
    found = observations(study.trials, Points(Grid()), study.direction)
    return [(item.trial.number, item.value, item.noise) for item in found]


def test_pruned_trials_count_by_where_they_would_have_ended() -> None:
    study = new_study()
    complete(study, lambda index: 0.1 + 0.02 * index, 4)
    prune(study, asked(study, 1)[0], {1: 0.5})
    gains = [0.1, 0.12, 0.14, 0.16]
    assert told(study)[4] == (4, pytest.approx(0.5 + np.mean(gains)), pytest.approx(np.var(gains, ddof=1)))
    assert [noise for _, _, noise in told(study)[:4]] == [0.0] * 4


def test_pruned_trials_fall_back_to_a_step_that_completed_trials_have() -> None:
    study = new_study()
    complete(study, lambda _: 0.1, 2)
    early = asked(study, 1)[0]
    prune(study, early, {1: 0.5})
    assert [number for number, *_ in told(study)] == [0, 1]  # two completed trials have no telling variance
    complete(study, lambda _: 0.1, 1)
    for values in ({1: 0.5, 2: 0.6, 3: 0.7}, {1: 0.5, 2: math.nan}, {3: 0.7}, {}):
        prune(study, asked(study, 1)[0], values)
    values = {number: value for number, value, _ in told(study)}
    assert values[2] == pytest.approx(0.6)
    assert values[4] == pytest.approx(0.65)
    assert values[5] == pytest.approx(0.6)
    assert 6 not in values
    assert 7 not in values


def test_pruned_trials_inform_the_search_and_are_never_recommended() -> None:
    """The right half of the space was pruned for being poor; without that knowledge it is as good as the left."""
    study = new_study()
    complete(study, lambda index: 0.1 + 0.001 * index, 8)
    knowing = copy.deepcopy(study)
    for trial in asked(knowing, 12):
        prune(knowing, trial, {1: 0.9 if trial.params["width"] > 6 else 0.2})
    assert len(told(knowing)) == 20
    widths = [width for _, width in points(asked(knowing, 8))]
    assert np.mean([width > 6 for width in widths]) > 0.7
    assert knowing.sampler.recommend(knowing).state == TrialState.COMPLETE


def test_queued_points_are_taken() -> None:
    """A trial that asks for its parameters while the network which it would have got is queued gets another."""
    ahead = points(asked(search(new_study(), 12), 1))[0]
    study = search(new_study(), 12)
    trial = study.ask()
    study.enqueue_trial({"depth": ahead[0], "width": ahead[1]})
    assert study.sampler.unseen(study) == NETWORKS - 13
    proposal = study.sampler.sample_relative(study, study.get_trials()[trial.number], dict(Grid().distributions))
    assert (proposal["depth"], proposal["width"]) != ahead
    assert points(asked(study, 1)) == [ahead]


def test_trials_of_other_brackets_are_taken_too() -> None:
    """Hyperband shows a sampler the trials of one bracket only."""
    pruner = optuna.pruners.HyperbandPruner(min_resource=1, max_resource=9)
    study = optuna.create_study(direction="maximize", sampler=BudgetSampler(Grid(), 0), pruner=pruner)

    def objective(trial: optuna.Trial) -> float:
        params = {"depth": trial.suggest_int("depth", 1, 12), "width": trial.suggest_int("width", 1, 12)}
        for step in range(1, 10):
            trial.report(accuracy(params) - 1 / step, step)
            if trial.should_prune():
                raise optuna.TrialPruned
        return accuracy(params)

    study.optimize(objective, n_trials=60)
    assert len(set(points(study.trials))) == 60
    assert TrialState.PRUNED in [trial.state for trial in study.trials]


def test_a_trial_queued_with_some_parameters_gets_the_others() -> None:
    study = search(new_study(), 9)
    for depth in (7, 7, 7):
        study.enqueue_trial({"depth": depth})
    trials = asked(study, 3)
    assert {trial.params["depth"] for trial in trials} == {7}
    assert len({trial.params["width"] for trial in trials}) == 3
    assert all(7 * trial.params["width"] <= Grid.limit for trial in trials)


@pytest.mark.parametrize(
    "params",
    [
        {"depth": 40, "width": 1},  # outside its range
        {"depth": "deep", "width": 1},
        {"depth": [1], "width": 1},
        {"depth": 12, "width": 12},  # the space cannot say what it is
        {"depth": 12, "width": 11},  # over budget, but a network
        {"other": 1.0},
    ],
)
def test_queued_parameters_outside_the_space_do_no_harm(params: dict[str, Any]) -> None:
    study = new_study()
    study.enqueue_trial(params)
    with_queue = copy.deepcopy(study)
    try:
        trial = study.ask(Grid().distributions)
        study.tell(trial, 0.5)
    except (ValueError, TypeError):  # Optuna's own, for what is no integer
        assert not isinstance(params["depth"], int)
    search(study, 12)
    assert with_queue.sampler.unseen(with_queue) == NETWORKS
    assert len(study.trials) == 13


# -- what it recommends


def test_it_recommends_what_is_good_and_not_what_was_lucky() -> None:
    study = search(new_study(), 40, lambda params: accuracy(params) + (0.1 if params["depth"] == 1 else 0.0))
    # The lucky one lies among poor neighbours.
    study.add_trial(
        optuna.create_trial(
            params={"depth": 2, "width": 2}, distributions=Grid().distributions, value=1.01, state=TrialState.COMPLETE
        )
    )
    assert study.best_trial.params == {"depth": 2, "width": 2}
    sampler = study.sampler
    assert isinstance(sampler, BudgetSampler)
    assert accuracy(sampler.recommend(study).params) > 0.98


def test_before_the_surrogate_it_recommends_the_best() -> None:
    study = new_study()
    sampler = study.sampler
    assert isinstance(sampler, BudgetSampler)
    with pytest.raises(InputError, match="has no completed trial"):
        sampler.recommend(study)
    search(study, 5)
    assert sampler.recommend(study).number == study.best_trial.number


# -- its arguments


@pytest.mark.parametrize("options", [{"startup": 1}, {"pool": 0}, {"max_observations": 7}])
def test_figures_that_are_too_small(options: dict[str, int]) -> None:
    with pytest.raises(InputError, match=f"sampler.{next(iter(options))}: "):
        BudgetSampler(Grid(), **options)


def test_an_empty_space() -> None:
    class Empty(Grid):
        limit = 0

    with pytest.raises(InputError, match="holds no network within budget"):
        BudgetSampler(Empty())


def test_more_trials_than_the_surrogate_takes() -> None:
    study = search(new_study(max_observations=16), 60)
    assert len(set(points(study.trials))) == 60
    best = study.sampler.recommend(study)
    assert points([best]) == [(5, 9)]


# -- the triangle


def test_a_search_over_the_triangle() -> None:
    domain = Domain(
        [load_space("resnet")],
        Budgets(levels=(Budget(macs="3M"),)),
        resolution=32,
        num_classes=10,
        in_channels=1,
    )
    study = optuna.create_study(direction="maximize", sampler=BudgetSampler(domain))
    study.enqueue_trial({"depth_share": 0.111, "width_of_rest": 0.777})
    digests = []
    for _ in range(25):
        trial = study.ask(domain.distributions)
        found = domain.proposal(trial.params)
        assert found.budget.admits(found.architecture.cost())
        assert found.rule is not None
        digests.append(found.architecture.digest)
        study.tell(trial, 1 - (found.rule.width - 0.6) ** 2 - (found.rule.resolution - 0.3) ** 2)
    assert len(set(digests)) == 25
    assert study.best_value > 0.995
