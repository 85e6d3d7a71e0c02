"""The command: run the trial, settle what it owes, and say how it went.

Exit codes: 0 all as assumed, 1 not all, 130 interrupted; what was launched is
terminated in each case, and if that fails the last line says what to do.
"""

from __future__ import annotations

import re
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import IO

import anyio
from anyio.abc import TaskStatus

from autoscaler import clock
from autoscaler.aws.client import SERVICES
from autoscaler.aws.client import connect as connect_aws
from autoscaler.aws.cloud_config import settings_of
from autoscaler.config import Config, SelftestInputs
from autoscaler.errors import AutoscalerError
from autoscaler.selftest.assumptions import Check, Result
from autoscaler.selftest.debts import Debts
from autoscaler.selftest.tape import Tape
from autoscaler.selftest.trial import Trial

INTERRUPTED = 130


class SelftestError(AutoscalerError):
    """The test cannot begin."""


def run_selftest(config: Config, inputs: SelftestInputs) -> int:
    """Run it and return the exit code. Raises AutoscalerError for what keeps it from beginning."""
    path = inputs.output or _default_path(inputs.group)
    try:
        file = path.open("x", encoding="utf-8")
    except OSError as error:
        raise SelftestError(f"{path}: {error.strerror}; name another file with --output") from None
    path.chmod(0o600)
    with file:
        _say(f"one instance of {inputs.group} is launched and terminated; every reply goes to {path}")
        _say("(the file names your account, its ARNs and instances; user data is left out)")
        code = anyio.run(_main, config, inputs.group, file)
    _say(f"replies: {path}")
    return code


def _default_path(group: str) -> Path:
    return Path(f"selftest-{re.sub(r'[^A-Za-z0-9_.-]', '_', group)}-{clock.now():%Y%m%dT%H%M%SZ}.jsonl")


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _say_check(check: Check) -> None:
    _say(f"{check.result:<10}  {check.name}{': ' if check.detail else ''}{check.detail}")


async def _main(config: Config, group: str, file: IO[str]) -> int:
    settings = replace(settings_of(config), services=(*SERVICES, "sts"))
    async with connect_aws(settings) as aws, anyio.create_task_group() as tasks:
        tape = Tape(aws, file)
        debts = Debts(tape, _say)
        trial = Trial(tape=tape, group=group, debts=debts, tell=_say_check)
        trying = anyio.CancelScope()
        await tasks.start(_stop_on_signal, trying.cancel)
        try:
            with trying:
                await trial.run()
        finally:
            with anyio.CancelScope(shield=True):
                for check in await debts.settle():
                    trial.note(check)
        tasks.cancel_scope.cancel()
    return _sum_up(trial, was_interrupted=trying.cancel_called)


async def _stop_on_signal(stop: Callable[[], None], *, task_status: TaskStatus[None]) -> None:
    """End the trial at the first signal; the debts are settled whatever comes then."""
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        task_status.started()
        async for _ in signals:
            _say("interrupted; what was launched is terminated first")
            stop()


def _sum_up(trial: Trial, *, was_interrupted: bool) -> int:
    debts, good = trial.debts, sum(one.result is Result.AS_ASSUMED for one in trial.checks)
    _say(f"{good} of {len(trial.checks)} as assumed; launched {len(debts.launched)}, left {len(debts.owed)}")
    for instance in debts.owed:
        _say(
            f"NOT TERMINATED: aws autoscaling terminate-instance-in-auto-scaling-group --instance-id {instance} "
            f"--should-decrement-desired-capacity --region {trial.tape.region}"
        )
    if was_interrupted:
        return INTERRUPTED
    return 0 if good == len(trial.checks) and debts.is_settled else 1
