"""Opening the database for commands that only read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from flows.cli.errors import InputError
from flows.services import Backend, Services
from flows.settings import load_settings


@contextmanager
def opened() -> Iterator[tuple[Services, Backend] | None]:
    """Give services and backend, or None where nothing was ever made: to read starts nothing and leaves nothing."""
    services = Services(load_settings())
    if services.is_fresh:
        yield None
        return
    services.check_given()
    with services.open() as backend:
        yield services, backend


@contextmanager
def opened_for(what: str) -> Iterator[tuple[Services, Backend]]:
    """Give services and backend to a command about one thing, such as "asset '12ab'".

    Raises:
        InputError: nothing was ever made here.
    """
    with opened() as found:
        if found is None:
            raise InputError(f"there is no {what}: nothing was made here yet")
        yield found
