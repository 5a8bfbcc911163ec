"""The name under which `agent_with_decisions.py` used to be known."""

from __future__ import annotations

import sys

from examples.agent_with_decisions import main

if __name__ == "__main__":
    sys.exit(main())
