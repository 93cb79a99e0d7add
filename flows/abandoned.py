"""Flow runs whose process was killed stay Running in Prefect for ever: find ours, and say that they crashed."""

from __future__ import annotations

import os
import socket
from contextlib import suppress

import psutil
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
    FlowRunFilterTags,
)
from prefect.client.schemas.objects import State, StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.states import Crashed

_TAG = "tutti"


def driver_tags() -> list[str]:
    """Return tags that say which process drives a flow run."""
    return [_TAG, f"driver:{socket.gethostname()}:{os.getpid()}:{psutil.Process().create_time():.2f}"]


async def mark_abandoned() -> int:
    """Mark the running flow runs of this machine whose driver is gone as crashed; return how many."""
    marked = 0
    async with get_client() as client:
        running = await client.read_flow_runs(
            flow_run_filter=FlowRunFilter(
                tags=FlowRunFilterTags(all_=[_TAG]),
                state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.RUNNING])),
            ),
            sort=FlowRunSort.ID_DESC,
            limit=200,
        )
        for flow_run in running:
            if any(_is_gone(tag) for tag in flow_run.tags):
                state: State[None] = Crashed(
                    message="the process that drove it is gone; `tutti resume` goes on with its run"
                )
                await client.set_flow_run_state(flow_run.id, state, force=True)
                marked += 1
    return marked


def _is_gone(tag: str) -> bool:
    kind, _, rest = tag.partition(":")
    host, _, process = rest.rpartition(":")[0].rpartition(":")
    if kind != "driver" or host != socket.gethostname():
        return False
    with suppress(psutil.Error, ValueError):
        return abs(psutil.Process(int(process)).create_time() - float(rest.rpartition(":")[2])) > 1
    return True
