"""The exceptions of the SDK.

    Exception
    └── AgentTraceError
        └── ConfigurationError (also a ValueError): the constructor was given an option that cannot work

Nothing but the constructor raises one.
"""

from __future__ import annotations


class AgentTraceError(Exception):
    """The root of the SDK's exceptions."""


class ConfigurationError(AgentTraceError, ValueError):
    """An option of the tracer that cannot work, such as an address that is no address."""
