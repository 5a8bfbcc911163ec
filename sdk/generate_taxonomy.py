"""Writes `agenttrace/_taxonomy.py` from the one table, which stands in `model`: `taxonomy.rs` and `privacy`.

cargo run -q -p agenttracer-model --example taxonomy_json | python3 sdk/generate_taxonomy.py
cargo run -q -p agenttracer-model --example taxonomy_json | python3 sdk/generate_taxonomy.py --check
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

TARGET = Path(__file__).parent / "agenttrace" / "_taxonomy.py"

HEADER = '''"""The closed lists and the privacy lists. Made from `model` by `generate_taxonomy.py`: do not edit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
'''


def value(entry: str | list[str | int]) -> str:
    """A name, or a name with a number."""
    return f"({', '.join(map(json.dumps, entry))})" if isinstance(entry, list) else json.dumps(entry)


def values(entries: list[str | list[str | int]], indent: str) -> str:
    """The entries as a tuple, one a line."""
    lines = "".join(f"{indent}    {value(entry)},\n" for entry in entries)
    return f"(\n{lines}{indent})"


def module(taxonomy: dict[str, list[str | list[str | int]] | dict[str, list[str | list[str | int]]]]) -> str:
    """The text of the module that holds `taxonomy`."""
    parts = [HEADER]
    for name, table in taxonomy.items():
        if isinstance(table, dict):
            rows = "".join(f'    "{kind}": {values(codes, "    ")},\n' for kind, codes in table.items())
            parts.append(f"\n{name.upper()}: Final[Mapping[str, tuple[str, ...]]] = {{\n{rows}}}\n")
        else:
            kind = "tuple[str, int]" if isinstance(table[0], list) else "str"
            parts.append(f"\n{name.upper()}: Final[tuple[{kind}, ...]] = {values(table, '')}\n")
    return "".join(parts)


def main() -> int:
    """Writes the module, or says with `--check` whether it is in step."""
    text = module(json.load(sys.stdin))
    if "--check" not in sys.argv[1:]:
        TARGET.write_text(text, encoding="utf-8")
        return 0
    if TARGET.read_text(encoding="utf-8") == text:
        print("the SDK's taxonomy is in step with the model's")
        return 0
    print(f"{TARGET.name} is not in step with `model`: run sdk/generate_taxonomy.py", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
