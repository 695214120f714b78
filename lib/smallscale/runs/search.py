"""Which values give the best metric? Optuna chooses the next runs from those that are.

A search is a sweep whose runs are not known beforehand. What lies in the folder of
results already, of the same code and the same fixed parameters, is what it starts from:
a search that was broken off goes on, and runs that were made otherwise count as well.
"""

import importlib.util
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from smallscale.runs import Refused
from smallscale.runs.catalogue import Notebook
from smallscale.runs.parameters import Parameter, Value, grid, near
from smallscale.runs.plan import Identifier, Plan, Task, is_done, warm_imports
from smallscale.runs.record import RunRecord
from smallscale.runs.results import Results

NEVER_SEARCHED = ("scale", "seed")  # unless values to choose from are given
WIDE = 1000  # a positive range this many times its lower end is searched by its log


@dataclass(frozen=True)
class Goal:
    """What a search is for."""

    runs: int  # how many there are to be, known ones counted
    metric: str
    maximize: bool = False


def goal_of(search: int | None, metric: str | None, maximize: bool) -> Goal | None:
    """Return the goal that the command line names, None for no search, or refuse it."""
    if search is None:
        if metric or maximize:
            raise Refused("--metric and --maximize belong to a search; give --search N")
        return None
    if not metric:
        raise Refused("--search needs --metric NAME: what is to become small")
    if not importlib.util.find_spec("optuna"):
        raise Refused("--search needs Optuna: pip install 'smallscale[search]'")
    return Goal(search, metric, maximize)


@dataclass
class Search:
    """A search under way: it hands out tasks, and is told how each ended."""

    goal: Goal
    identifier: Identifier
    fixed: dict[str, Value]
    space: dict[str, Any]  # Optuna's distribution of each parameter that is searched
    results: Results
    study: Any
    known: list[RunRecord]  # runs that it starts from
    asked: int = 0  # runs of its own, so far
    drop: Callable[[], None] = lambda: None  # told when there is one run less to do
    _trials: dict[str, Any] = field(default_factory=dict)
    _over: dict[str, RunRecord] = field(default_factory=dict)

    @property
    def plan(self) -> Plan:
        """What the command starts with: nothing to do yet but what is asked for."""
        return Plan(self.known, [], warm_imports(self.identifier.notebook))

    @property
    def left(self) -> int:
        """How many runs are still to be asked for."""
        return max(0, self.goal.runs - len(self.known) - self.asked)

    @property
    def sample(self) -> Task:
        """A task that shows what all will need."""
        return self.identifier.task("", dict(self.fixed), {}, Path())

    def first(self, room: int) -> list[Task]:
        """Return as many tasks as may be at work at a time."""
        return [task for _ in range(max(1, room)) for task in self._next()]

    def over(self, record: RunRecord) -> list[Task]:
        """Hear how a run ended; return the next one, if there is one."""
        self._over[record.run] = record
        trial = self._trials.pop(record.run, None)
        if trial is not None:
            self._tell(trial, record)
        return self._next()

    def _next(self) -> list[Task]:
        """Return the next task; what is done already is told to Optuna at once."""
        while self.left:
            self.asked += 1
            trial = self.study.ask(self.space)
            parameters = {**self.fixed, **trial.params}
            run, data = self.identifier.run(parameters)
            before = self.results.records.get(run)
            if run in self._trials:  # it is at work already
                self.study.tell(trial, state=_state("FAIL"))
            elif run in self._over:
                self._tell(trial, self._over[run])
            elif before and is_done(before):
                self._tell(trial, before)
            else:
                self._trials[run] = trial
                runs = self.results.folder / "runs"
                return [self.identifier.task(run, parameters, data, runs)]
            self.drop()
        return []

    def _tell(self, trial: Any, record: RunRecord) -> None:
        value = measured(record, self.goal)
        if value is None:
            self.study.tell(trial, state=_state("FAIL"))
        else:
            self.study.tell(trial, value)

    def best(self, records: list[RunRecord]) -> tuple[RunRecord, float] | None:
        """Return the best of these runs, with its metric; None where there is none."""
        values = [
            (record, value)
            for record in records
            if record.status == "completed"
            and (value := measured(record, self.goal)) is not None
        ]
        choose = max if self.goal.maximize else min
        return choose(values, key=lambda pair: pair[1]) if values else None


def search_for(
    goal: Goal,
    notebooks: list[Notebook],
    asked: Mapping[str, str],
    caller: Path,
    results: Results,
) -> Search:
    """Return a search over the parameters of a notebook.

    asked: the values that the command line gives. One value holds a parameter fixed,
    several are what is chosen from. The others are searched over the range or the
    choices that their help names.
    Raises Refused where there is nothing to search, or more than one notebook.
    """
    import optuna

    if len(notebooks) != 1:
        raise Refused(f"--search takes one notebook; these are {len(notebooks)}")
    notebook = notebooks[0]
    several = {
        name: values
        for name, text in asked.items()
        if len(values := notebook.parameters[name].parse(text)) > 1
    }
    single = {name: text for name, text in asked.items() if name not in several}
    (fixed,) = grid(notebook.parameters, single, caller, notebook.path.parent)
    space: dict[str, Any] = {}
    for name, parameter in notebook.parameters.items():
        if name in several:
            values = [parameter.admit(value, caller) for value in several[name]]
            space[name] = optuna.distributions.CategoricalDistribution(values)
        elif name not in single and name not in NEVER_SEARCHED:
            distribution = _distribution(parameter)
            if distribution:
                space[name] = distribution
    if not space:
        raise Refused(
            f"{notebook.name} has nothing to search: no parameter's help ends in a "
            "range such as [0, 1] or in `one of: a, b`; give values with -p"
        )
    identifier = Identifier(notebook, results.folder)
    known = _known(goal, identifier, fixed, space, results)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(
        direction="maximize" if goal.maximize else "minimize",
        # Another seed each time it goes on: the same would ask for the same again.
        sampler=optuna.samplers.TPESampler(seed=len(known)),
    )
    for record in known:
        value = measured(record, goal)
        params = {name: record.parameters[name] for name in space}
        # A run whose metric is no number counts, though it says nothing of where to go.
        outcome = {"state": _state("FAIL")} if value is None else {"value": value}
        study.add_trial(
            optuna.trial.create_trial(params=params, distributions=space, **outcome)
        )
    return Search(goal, identifier, fixed, space, results, study, known)


def _distribution(parameter: Parameter) -> Any:
    """Return what Optuna may choose for a parameter; None where its help has none."""
    from optuna import distributions

    low, high = parameter.low, parameter.high
    if parameter.choices:
        return distributions.CategoricalDistribution(list(parameter.choices))
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        return None
    by_log = low > 0 and high / low >= WIDE
    if parameter.kind is int:
        return distributions.IntDistribution(math.ceil(low), int(high), log=by_log)
    return distributions.FloatDistribution(low, high, log=by_log)


def _known(
    goal: Goal,
    identifier: Identifier,
    fixed: Mapping[str, Value],
    space: Mapping[str, Any],
    results: Results,
) -> list[RunRecord]:
    """Return the completed runs of this very code that the search may start from."""
    found = []
    for record in sorted(results.records.values(), key=lambda run: run.started):
        given = record.parameters
        if (
            record.notebook == identifier.notebook.name
            and given.keys() == identifier.parameters.keys()
            and all(given[name] == fixed[name] for name in fixed if name not in space)
            and all(_within(space[name], given[name]) for name in space)
            and is_done(record)
            and identifier.run(given)[0] == record.run
        ):
            found.append(record)
    return found


def _within(distribution: Any, value: Value) -> bool:
    """Tell whether a value is one that Optuna could have chosen."""
    try:
        return bool(distribution._contains(distribution.to_internal_repr(value)))
    except (ValueError, TypeError):
        return False


def measured(record: RunRecord, goal: Goal) -> float | None:
    """Return a run's metric; None where it failed, or the number is not finite.

    Raises Refused where a completed run has no such metric at all.
    """
    if record.status != "completed":
        return None
    if goal.metric not in record.metrics:
        have = ", ".join(record.metrics) or "none"
        hint = near(goal.metric, record.metrics)
        raise Refused(
            f"{record.notebook} has no metric {goal.metric!r}{hint}; it has: {have}"
        )
    value = record.metrics[goal.metric]
    return None if value is None else float(value)


def _state(name: str) -> Any:
    from optuna.trial import TrialState

    return TrialState[name]
