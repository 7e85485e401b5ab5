"""Commands that run a study: search, baselines, confirm."""

import statistics
from typing import TYPE_CHECKING, Any

import click

from scaler.cli.options import executor_options, executor_overrides, storage_option, study_argument
from scaler.cli.output import log_to_folder, quiet_optuna
from scaler.errors import WorkError

if TYPE_CHECKING:
    from scaler.config import StudyConfig


@click.command()
@study_argument
@click.option("--macs", metavar="N", help="Budget, e.g. 3M; several as 2M,5M,10M, a band as 2M..10M.")
@click.option("--trials", type=int, metavar="N", help="Number of networks to evaluate.")
@click.option("--space", metavar="SPACE", help="Search space: a shipped name or a .toml file; several as a,b.")
@click.option("--sampler", metavar="NAME", help="budget, tpe, gp, cmaes, qmc, random or grid.")
@click.option("--pruner", metavar="NAME", help="successive_halving, hyperband, median or none.")
@click.option("--name", metavar="NAME", help="Name of the study; a new question needs a new one.")
@click.option("--resume", is_flag=True, help="Continue a search that was stopped.")
@executor_options
@storage_option
def search(
    study: str,
    macs: str | None,
    trials: int | None,
    space: str | None,
    sampler: str | None,
    pruner: str | None,
    name: str | None,
    resume: bool,
    executor: str | None,
    address: str | None,
    workers: int | None,
    storage: str | None,
) -> None:
    """Search how to split the budget. STUDY is a folder, a .toml file or a name; flags override the file.

    \b
    Examples: scaler search studies/quickstart
              scaler search quickstart --macs 5M --trials 30 --name five --resume
              scaler search quickstart --executor ray
    """
    config = _load(
        study,
        {
            "budget.macs": one_or_several(macs),
            "search.trials": trials,
            "space": one_or_several(space),
            "search.sampler": sampler,
            "search.pruner": pruner,
            "name": name,
            "storage.url": storage,
        }
        | executor_overrides(executor, address, workers),
    )
    from optuna.trial import TrialState

    from scaler import workflow
    from scaler.cli.progress import Progress
    from scaler.study import best_trial, completed_trials, finished_trials

    with Progress(config.search.trials, config.recipe.epochs) as progress:
        searched = workflow.search(config, resume=resume, observer=progress)
    count = len(finished_trials(searched))
    if progress.out_of_time:
        click.echo(
            f"time is up after {config.search.max_hours:g} hours with {count} of {config.search.trials} trials; "
            f"go on with the same command and --resume"
        )
        if not count:
            return
    elif progress.exhausted_after is not None:
        click.echo(f"space exhausted after {progress.exhausted_after} networks")
    elif not progress.evaluated:
        click.echo(f"{config.name} is finished: {count} of {config.search.trials} trials")
    if count and all(trial.state != TrialState.COMPLETE for trial in searched.get_trials(deepcopy=False)):
        reason = finished_trials(searched)[-1].user_attrs.get("failure", "stopped early")
        raise WorkError(f"none of {count} trials completed, the last one: {reason}; see {config.folder / 'scaler.log'}")
    for level in config.budgets.levels if config.has_levels else (None,):
        limit = None if level is None else next(iter(level.limits.values()))
        number = len(completed_trials(searched, limit))
        if number:
            best = best_trial(searched, limit)
            of = f"{count} trials" if level is None else f"{number} at {level}"
            click.echo(f"best of {of}: {best.user_attrs['model']} with {config.objective} {best.value:.4f}")
    click.echo(f"next: scaler baselines {study}, scaler confirm {study}, scaler leaderboard {study}")


@click.command()
@study_argument
@executor_options
@storage_option
def baselines(study: str, executor: str | None, address: str | None, workers: int | None, storage: str | None) -> None:
    """Train classic and rule-scaled networks under the study's own recipe and budget.

    \b
    Example: scaler baselines studies/quickstart
    """
    config = _load(study, {"storage.url": storage} | executor_overrides(executor, address, workers))
    from scaler import workflow
    from scaler.cli.progress import Progress

    with Progress(None, config.recipe.epochs) as progress:
        trained = workflow.baselines(config, observer=progress)
    total = len(trained.get_trials(deepcopy=False))
    click.echo(f"{total} baselines, {progress.evaluated} trained now; next: scaler leaderboard {study}")


@click.command()
@study_argument
@click.option(
    "--top", type=int, default=1, show_default=True, metavar="K", help="Best networks to retrain, of each budget."
)
@click.option("--seeds", type=int, default=1, show_default=True, metavar="N", help="Seeds for each.")
@click.option("--baselines", "with_baselines", is_flag=True, help="Retrain the baselines as well.")
@executor_options
@storage_option
def confirm(
    study: str,
    top: int,
    seeds: int,
    with_baselines: bool,
    executor: str | None,
    address: str | None,
    workers: int | None,
    storage: str | None,
) -> None:
    """Retrain the best networks with fresh seeds and measure their test accuracy.

    \b
    Example: scaler confirm studies/quickstart --top 3 --seeds 3
    """
    config = _load(study, {"storage.url": storage} | executor_overrides(executor, address, workers))
    from scaler import workflow
    from scaler.cli.progress import Progress

    with Progress(None, config.recipe.epochs) as progress:
        confirmed = workflow.confirm(config, top=top, seeds=seeds, with_baselines=with_baselines, observer=progress)
    by_model: dict[str, list[dict[str, Any]]] = {}
    for trial in confirmed.get_trials(deepcopy=False):
        if "test_accuracy" in trial.user_attrs:
            by_model.setdefault(trial.user_attrs["model"], []).append(trial.user_attrs)
    for model, runs in by_model.items():
        tests = [run["test_accuracy"] for run in runs]
        spread = f" ± {statistics.stdev(tests):.4f}" if len(tests) > 1 else ""
        click.echo(
            f"{model}: test accuracy {statistics.mean(tests):.4f}{spread} "
            f"(n = {len(runs)} seeds, {runs[0]['test_images']} images)"
        )


def one_or_several(text: str | None) -> str | list[str] | None:
    """An option's value; a list if it has commas."""
    return [part.strip() for part in text.split(",")] if text and "," in text else text


def _load(study: str, overrides: dict[str, Any]) -> "StudyConfig":
    from scaler.config import load_study

    config = load_study(study, overrides)
    quiet_optuna()
    log_to_folder(config)
    return config
