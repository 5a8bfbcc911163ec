"""The tables of `configuration.md` are made from the program and the SDK: from `--help` and errors of wrong values.

After a change of an option: `AGENTTRACER_WRITE_DOCS=1 .venv/bin/pytest docs -k configuration` writes them anew.
"""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sdk.agenttrace import AgentTracer, ConfigurationError
from sdk.agenttrace.testing import InMemoryTransport

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "configuration.md"
# Nothing can be served with these, so whatever else is tried ends at once.
NOWHERE = {f"AGENTTRACER_{name}_ADDR": "off" for name in ("INGEST", "QUERY", "UI")}
OPTION = re.compile(r"^ {2,6}(?:-\w, )?(--[a-z-]+)(?: ([^\n]+))?\n((?:(?: {10}.*)?\n)+)", re.MULTILINE)
ALWAYS = {"--help", "--color"}


@dataclass(frozen=True)
class Option:
    """One flag, as the program tells of it."""

    flag: str
    value: str
    env: str | None
    default: str | None
    choices: tuple[str, ...]
    about: str


def _run(agenttracer: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AGENTTRACER_")}
    command = [str(agenttracer), *arguments]
    environment |= NOWHERE | more
    return subprocess.run(  # noqa: S603
        command, capture_output=True, text=True, check=False, env=environment, timeout=30
    )


def _help(agenttracer: Path, *command: str) -> str:
    told = _run(agenttracer, *command, "--help")
    assert told.returncode == 0, told.stderr
    return told.stdout.partition("\nExit codes:")[0] + "\n"


def _options(agenttracer: Path, *command: str) -> list[Option]:
    found = []
    told = _help(agenttracer, *command)
    for flag, value, text in OPTION.findall(told):
        if flag in ALWAYS:
            continue
        lines = textwrap.dedent(text).strip()
        env = re.search(r"\[env: (\w+)", lines)
        default = re.search(r"\[default: ([^]]*)\]", lines)
        choices = re.search(r"\[possible values: ([^]]*)\]", lines)
        about = re.sub(r"\s*\[(default|env|possible values): ?[^]]*\]", "", lines.partition("\n\nPossible")[0])
        found.append(
            Option(
                flag,
                value.strip("[]<>.") if value else "",
                env[1] if env else None,
                re.sub(", *", ", ", default[1]) if default else None,
                tuple(choices[1].split(", ")) if choices else (),
                " ".join(about.split()),
            )
        )
    return found


def _commands(agenttracer: Path) -> list[tuple[str, ...]]:
    def below(*command: str) -> list[str]:
        told = _help(agenttracer, *command).partition("\nCommands:\n")[2].partition("\n\n")[0]
        return [name for name in re.findall(r"^  ([a-z-]+) ", told, re.MULTILINE) if name != "help"]

    names = below()
    assert "serve" in names
    found: list[tuple[str, ...]] = []
    for name in names:
        found += [(name, sub) for sub in below(name)] or [(name,)]
    return found


def _said(text: str) -> str:
    return text.replace("|", r"\|")


def _code(text: str | None) -> str:
    return f"`{_said(text)}`" if text else ""


def _accepts(agenttracer: Path, option: Option) -> str:
    """What a value may be: the listed ones, or what the program says of one that it cannot be."""
    if option.choices:
        return ", ".join(f"`{choice}`" for choice in option.choices)
    if option.value in {"DIR", "FILE"}:
        return "a path"
    if option.value == "BYTES":
        # A number has a range, which is looked at after the listeners: with one of them, it never comes to listening.
        told = _run(agenttracer, "serve", option.flag, "0", AGENTTRACER_QUERY_ADDR="127.0.0.1:0")
    else:
        told = _run(agenttracer, "serve", option.flag, "@")
    assert told.returncode == 64, told
    sentence = re.search(r"(?:: write |: a segment has )(.*)", told.stderr)
    assert sentence, told.stderr
    return _said(sentence[1])


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _serve(agenttracer: Path, toml: list[str]) -> str:
    rows = []
    for option in _options(agenttracer, "serve"):
        name = option.flag.removeprefix("--").replace("-", "_").replace("privacy_", "privacy.")
        assert (name in toml) != (name == "config"), name
        key = _code(name if name in toml else None)
        row = [_code(option.flag), _code(option.env), key, _accepts(agenttracer, option)]
        rows.append([*row, _said(option.default or "none"), _said(option.about)])
    assert len(rows) == len(toml) + 1
    return _table(["flag", "environment", "TOML", "accepts", "default", "meaning"], rows)


def _toml_keys(agenttracer: Path, folder: Path) -> list[str]:
    """The keys of the file, as the program lists them to who wrote another one."""

    def known(text: str) -> list[str]:
        file = folder / "wrong.toml"
        file.write_text(text)
        told = _run(agenttracer, "serve", "--config", str(file)).stderr
        return re.findall(r"`(\w+)`", told.partition("expected")[2])

    keys = known("no_such_key = 1\n")
    assert len(keys) > 5 and "privacy" in keys, keys  # noqa: PT018
    tables = {"privacy": known("[privacy]\nno_such_key = 1\n")}
    return [key for key in keys if key not in tables] + [f"{table}.{key}" for table in tables for key in tables[table]]


def _environment(agenttracer: Path) -> str:
    """The variables of all commands but `serve`, each with those that read it."""
    readers: dict[Option, list[str]] = {}
    for command in _commands(agenttracer):
        for option in _options(agenttracer, *command):
            if option.env and command != ("serve",):
                readers.setdefault(option, []).append(f"`{' '.join(command)}`")
    rows = [
        [
            _code(option.env),
            _code(option.flag),
            _said(option.default or "none"),
            ", ".join(commands),
            _said(option.about),
        ]
        for option, commands in sorted(readers.items(), key=lambda row: (row[0].env, row[0].about))
    ]
    assert len(rows) > 4
    return _table(["environment", "flag", "default", "read by", "meaning"], rows)


def _range(name: str, kind: str) -> str:
    """What the constructor says of a value that it cannot have."""
    if kind == "bool":
        return "`True`, `False`"
    if not re.fullmatch("int|float", kind):
        return {"str": "text"}.get(kind.partition(" | ")[0], "a path")
    wrong: dict[str, Any] = {name: -1}
    try:
        AgentTracer("agent", "1", transport=InMemoryTransport(), stream=True, **wrong)
    except ConfigurationError as error:
        return str(error).removeprefix(f"{name} must be ")
    raise AssertionError(f"{name} takes any number")


def _sdk() -> str:
    about: dict[str, str] = {}
    for bullet in re.split(r"^- ", inspect.getdoc(AgentTracer) or "", flags=re.MULTILINE)[1:]:
        names, _, text = bullet.partition("\n\n")[0].partition(":")
        for name in re.findall(r"`(\w+)`", names):
            about[name] = " ".join(text.split())
    # It is told within the text of another one.
    before, own, after = about["spool_dir"].partition(" `max_spool_bytes` ")
    assert own
    about |= {"spool_dir": before, "max_spool_bytes": after.replace("bounds it", "bounds what waits there")}
    rows = []
    for parameter in inspect.signature(AgentTracer).parameters.values():
        if parameter.name in {"transport", "clock"}:
            continue
        kind = str(parameter.annotation)
        default = "required" if parameter.default is parameter.empty else f"`{parameter.default!r}`"
        rows.append(
            [_code(parameter.name), _range(parameter.name, kind), default, _said(about[parameter.name].rstrip("."))]
        )
    return _table(["argument", "accepts", "default", "meaning"], rows)


def _with(page: str, name: str, made: str) -> str:
    begin, end = f"<!-- made: {name} -->", "<!-- made: end -->"
    before, found, rest = page.partition(begin)
    assert found, f"{begin} is not in the page"
    return before + f"{begin}\n\n{made}\n\n{end}" + rest.partition(end)[2]


def test_the_tables_are_those_of_the_program(agenttracer: Path, tmp_path: Path) -> None:
    page = PAGE.read_text()
    made = _with(page, "serve", _serve(agenttracer, _toml_keys(agenttracer, tmp_path)))
    made = _with(made, "environment", _environment(agenttracer))
    made = _with(made, "sdk", _sdk())
    if "AGENTTRACER_WRITE_DOCS" in os.environ:
        PAGE.write_text(made)
        page = made
    assert page == made, "docs/configuration.md is old: AGENTTRACER_WRITE_DOCS=1 .venv/bin/pytest docs -k configuration"


def test_every_variable_that_is_read_is_on_the_page() -> None:
    read: set[str] = set()
    for folder in ("tools/src", "server/src", "sdk/agenttrace"):
        for file in [*(ROOT / folder).rglob("*.rs"), *(ROOT / folder).rglob("*.py")]:
            read |= set(re.findall(r"\"(AGENTTRACER_[A-Z_]+)\"", file.read_text()))
    # Only a test of the server looks at it.
    read.remove("AGENTTRACER_WRITE_OPENAPI")
    assert len(read) > 20
    assert read - set(re.findall(r"`(AGENTTRACER_[A-Z_]+)`", PAGE.read_text())) == set()


def test_every_variable_that_the_sdk_reads_is_in_its_documentation() -> None:
    sources = [file.read_text() for file in (ROOT / "sdk" / "agenttrace").rglob("*.py")]
    read = {name for source in sources for name in re.findall(r"\benviron\.get\(\"(\w+)\"", source)}
    assert len(read) > 3
    assert read - set(re.findall(r"`\$?([A-Z_]+)[`/]", inspect.getdoc(AgentTracer) or "")) == set()


def test_the_file_of_the_page_is_read(agenttracer: Path, tmp_path: Path) -> None:
    files = re.findall(r"^```toml\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert files
    for text in files:
        file = tmp_path / "agenttracer.toml"
        file.write_text(text)
        # The environment wins over the file: so it was read to its end, and only then nothing is left to serve.
        told = _run(agenttracer, "serve", "--config", str(file))
        assert "nothing to serve" in told.stderr, told.stderr
