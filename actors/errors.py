"""What can go wrong with workers and the cluster they run on."""

from __future__ import annotations


class ActorError(Exception):
    """Base of this package's errors."""


class ClusterError(ActorError):
    """Ray cannot be started or reached, or has no room for the workers."""


class WorkersFailedError(ActorError):
    """The workers cannot go on: no generator, no store, or they die again and again."""


class BrokenGeneratorError(ActorError):
    """A generator broke its contract, or fails whatever it is given."""
