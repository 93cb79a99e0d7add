"""Waiting for the database of a flow: one that is away is waited for, and if it is ours it is brought up again.

Flows wait, for nobody sits before them and what they do can be repeated; a command's first look does not.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TypeVar

from actors.patience import Patience
from db.errors import DatabaseUnavailableError
from flows.services import Backend, Services

T = TypeVar("T")
_log = logging.getLogger(__name__)


def patiently(services: Services, work: Callable[[], T], check: Callable[[], None] = lambda: None) -> T:
    """Return what `work` returns, trying again while the database or the object store is away.

    Args:
        services: where they are, and for how long to wait.
        work: what may be repeated.
        check: called before each attempt; raises if there is no point in waiting any longer.

    Raises:
        StorageError: it stayed away for longer than the patience.
    """

    def attempt() -> T:
        check()
        try:
            return work()
        except DatabaseUnavailableError as error:
            _log.warning("the database is away: %s", error)
            if services.settings.database_url is None:
                services.postgres.up()
            raise

    return Patience(services.settings.patience_s).call(attempt)


@contextmanager
def opened(services: Services) -> Iterator[Backend]:
    """Give the database and the object store for the length of the block, waiting for them at its beginning.

    Raises:
        StorageError: either cannot be used.
        ServiceError: the home cannot be used.
    """
    with ExitStack() as stack:
        yield patiently(services, lambda: stack.enter_context(services.open()))
