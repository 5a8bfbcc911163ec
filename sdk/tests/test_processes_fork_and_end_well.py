"""Whatever becomes of an agent's process: no hang over 5 s, no counted run lost, no traceback."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from agenttrace import AgentTracer
from sdk_world import PROVES, ServerProcess, agent, ended, get, server_process, wait_until

LONGEST_S = 5.0


@pytest.fixture(scope="module")
def world(agenttracer: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with server_process(agenttracer, tmp_path_factory.mktemp("processes")) as server:
        yield server


@pytest.fixture
def agent_id() -> str:
    return f"agent-{uuid.uuid4()}"


def stored(world: ServerProcess, agent_id: str) -> int:
    total: int = get(world.query, f"/v1/stats?agent_id={agent_id}")["total_runs"]
    return total


def recovered(world: ServerProcess, agent_id: str) -> int:
    """Starts an agent where the last one was, which sends what that one left."""
    before = stored(world, agent_id)
    with AgentTracer(agent_id, "2", world.ingest):
        wait_until(lambda: not list(Path(os.environ["AGENTTRACER_SPOOL_DIR"]).rglob("*.spool")))
    return stored(world, agent_id) - before


MAKES_RUNS = """
    import os, signal, sys, threading, time
    from agenttrace import AgentTracer
    url, agent_id = sys.argv[1:3]

    def record(tracer, runs):
        for _ in range(runs):
            with tracer.start_run() as run, run.step("plan", "p"):
                pass
"""


def test_a_child_that_was_forked_after_use_sends_its_own_runs(world: ServerProcess, agent_id: str) -> None:
    process = agent(
        MAKES_RUNS
        + """
    tracer = AgentTracer(agent_id, "1", url)
    record(tracer, 20)
    mine = tracer.start_run()
    mine.__enter__()
    children = []
    for _ in range(4):
        pid = os.fork()
        if pid == 0:
            record(tracer, 10)
            mine.__exit__(None, None, None)  # it is the parent's: nothing is sent
            closed = tracer.close()
            stats = tracer.stats()
            os._exit(0 if closed and stats.sent == stats.finished == 10 else 1)
        children.append(pid)
    record(tracer, 20)
    mine.__exit__(None, None, None)
    assert [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children] == [0] * 4
    assert tracer.close()
    assert tracer.stats().sent == 41, tracer.stats()
    """,
        world.ingest,
        agent_id,
    )
    code, _, errors = ended(process)
    assert (code, errors.replace("run of another process: a run belongs to the process that began it\n", "")) == (0, "")
    assert stored(world, agent_id) == 81


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_children_of_multiprocessing_lose_nothing(
    world: ServerProcess, agent_id: str, tmp_path: Path, method: str
) -> None:
    # A program of its own: spawn imports the main module again.
    program = tmp_path / "program.py"
    program.write_text(
        """
import multiprocessing, sys
from agenttrace import AgentTracer

tracer = AgentTracer(sys.argv[2], "1", sys.argv[1])

def work(number):
    for _ in range(25):
        with tracer.start_run() as run, run.step("plan", "p"):
            pass

if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[3])
    work(0)
    children = [context.Process(target=work, args=(number,)) for number in range(3)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0] * 3
"""
    )
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, str(program), world.ingest, agent_id, method],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert stored(world, agent_id) == 100


@pytest.mark.parametrize("preload", [True, False])
def test_workers_of_gunicorn_send_their_own_runs(
    world: ServerProcess, agent_id: str, tmp_path: Path, *, preload: bool
) -> None:
    (tmp_path / "app.py").write_text(
        f"""
from agenttrace import AgentTracer
tracer = AgentTracer({agent_id!r}, "1", {world.ingest!r})
with tracer.start_run():
    pass

def app(environ, start_response):
    with tracer.start_run() as run, run.step("respond", "answer"):
        pass
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
"""
    )
    # A worker that is told to end before it listens to signals never hears of it: its handler is still the master's.
    (tmp_path / "gunicorn.conf.py").write_text(
        """
def post_worker_init(worker):
    open(f"{worker.pid}.up", "x").close()
"""
    )
    with socket.create_server(("127.0.0.1", 0)) as listener:
        os.set_inheritable(listener.fileno(), True)
        port = listener.getsockname()[1]
        command = [sys.executable, "-m", "gunicorn", "--bind", f"fd://{listener.fileno()}", "--workers", "3", "app:app"]
        server = subprocess.Popen(  # noqa: S603 - our own program
            [*command, *["--preload"] * preload, "--no-control-socket"],
            cwd=tmp_path,
            pass_fds=[listener.fileno()],
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            for _ in range(40):
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=30) as answer:
                    assert answer.read() == b"ok"
            wait_until(lambda: len(list(tmp_path.glob("*.up"))) == 3)
        finally:
            server.send_signal(signal.SIGTERM)
        _, errors = server.communicate(timeout=30)
    assert server.returncode == 0, errors
    assert "Traceback" not in errors
    # Where the workers import the application, each of them makes one run more.
    assert stored(world, agent_id) >= 41


@pytest.mark.parametrize("stream", [False, True])
def test_sigterm_moves_what_waits_to_the_spool_within_a_second(
    world: ServerProcess, agent_id: str, *, stream: bool
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        # Connections are taken by the system, and nobody ever answers.
        process = agent(
            MAKES_RUNS
            + """
    tracer = AgentTracer(agent_id, "1", url, stream=sys.argv[3] == "True")
    record(tracer, 30)
    print("ready", flush=True)
    while True:
        time.sleep(60)
    """,
            f"http://127.0.0.1:{mute.getsockname()[1]}",
            agent_id,
            stream,
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        code, _, errors = ended(process)
        took = time.monotonic() - began
    assert code == -signal.SIGTERM
    assert "Traceback" not in errors
    assert took < LONGEST_S or not PROVES
    # The spool belongs to the address, so it is moved to that of the server that answers.
    folder = Path(os.environ["AGENTTRACER_SPOOL_DIR"])
    (spooled,) = folder.rglob("*.spool")
    assert spooled.read_bytes().count(b'"run_id"') == 30 * (4 if stream else 1)
    if not stream:
        with AgentTracer(agent_id, "1", world.ingest) as probe:
            target = probe._delivery._spool._directory
        assert target is not None
        target.mkdir(parents=True, exist_ok=True)
        spooled.rename(target / spooled.name)
        assert recovered(world, agent_id) == 30


def test_a_program_that_handles_sigterm_itself_is_left_alone(world: ServerProcess, agent_id: str) -> None:
    for when in ("before", "after"):
        process = agent(
            MAKES_RUNS
            + """
    def stop(number, frame):
        print("stopping", flush=True)
        sys.exit(7)

    if sys.argv[3] == "before":
        signal.signal(signal.SIGTERM, stop)
    tracer = AgentTracer(agent_id, "1", url, flush_interval_s=60)
    if sys.argv[3] == "after":
        signal.signal(signal.SIGTERM, stop)
    record(tracer, 10)
    print("ready", flush=True)
    while True:
        time.sleep(60)
    """,
            world.ingest,
            agent_id,
            when,
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGTERM)
        code, out, errors = ended(process)
        assert (code, out, errors) == (7, "stopping\n", "")
    # Its way out leads over `atexit`, and everything was sent.
    assert stored(world, agent_id) == 20


def test_what_was_spooled_outlives_kill_minus_nine(world: ServerProcess, agent_id: str) -> None:
    """The server is away, runs go to the spool, the agent is killed; the next one sends them."""
    process = agent(
        MAKES_RUNS
        + """
    from agenttrace._transport import HttpTransport

    def away(*_):
        raise ConnectionRefusedError

    HttpTransport.post = away
    tracer = AgentTracer(agent_id, "1", url, first_retry_s=0.01)
    record(tracer, 50)
    while tracer.stats().spooled < 50:
        time.sleep(0.01)
    print("spooled", flush=True)
    time.sleep(60)
    """,
        world.ingest,
        agent_id,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "spooled\n"
    process.kill()
    ended(process)
    assert stored(world, agent_id) == 0
    assert recovered(world, agent_id) == 50


def test_fifty_threads_and_a_thousand_tasks_keep_their_runs_apart(world: ServerProcess, agent_id: str) -> None:
    process = agent(
        MAKES_RUNS
        + """
    import asyncio
    from agenttrace import current_run, run_step

    tracer = AgentTracer(agent_id, "1", url, max_queue_runs=5_000)
    threads = [threading.Thread(target=record, args=(tracer, 20)) for _ in range(50)]
    for thread in threads:
        thread.start()

    @run_step("tool", "call")
    async def call(mine):
        assert current_run() is mine
        await asyncio.sleep(0.001)
        assert current_run() is mine

    @tracer.run
    async def answer():
        mine = current_run()
        await asyncio.gather(call(mine), call(mine))
        async with mine.step("respond", "r"):
            await asyncio.sleep(0)
        assert len(mine._steps) == 3

    async def everything():
        await asyncio.gather(*(answer() for _ in range(1_000)))

    asyncio.run(everything())
    for thread in threads:
        thread.join()
    assert tracer.close(30)
    stats = tracer.stats()
    assert (stats.finished, stats.sent, stats.dropped) == (2_000, 2_000, 0), stats
    """,
        world.ingest,
        agent_id,
    )
    assert ended(process) == (0, "", "")
    assert stored(world, agent_id) == 2_000


@pytest.mark.parametrize("dead", ["refuses", "is silent"])
@pytest.mark.parametrize("spool", ["", "full"])
def test_a_dead_server_does_not_hold_the_end_up(agent_id: str, unused_port: int, dead: str, spool: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        port = unused_port if dead == "refuses" else mute.getsockname()[1]
        began = time.monotonic()
        process = agent(
            MAKES_RUNS
            + """
    options = {"max_spool_bytes": 1} if sys.argv[3] else {}
    tracer = AgentTracer(agent_id, "1", url, **options)
    record(tracer, 30)
    import atexit

    @atexit.register  # runs before the tracer's, which stood first: nothing of it is lost or printed
    def late():
        record(tracer, 5)
    """,
            f"http://127.0.0.1:{port}",
            agent_id,
            spool,
        )
        code, _, errors = ended(process)
        took = time.monotonic() - began
    assert code == 0
    assert "Traceback" not in errors
    assert took < LONGEST_S or not PROVES
    spooled = sum(
        path.read_bytes().count(b'"run_id"') for path in Path(os.environ["AGENTTRACER_SPOOL_DIR"]).rglob("*.spool")
    )
    assert spooled == (0 if spool else 35)
    assert ("runs are dropped (closed)" in errors) is bool(spool)


def test_a_short_program_that_says_nothing_of_the_end_sends_everything(world: ServerProcess, agent_id: str) -> None:
    process = agent(
        MAKES_RUNS
        + """
    record(AgentTracer(agent_id, "1", url), 1)
    record(AgentTracer(agent_id, "1", url, flush_interval_s=60), 50)
    """,
        world.ingest,
        agent_id,
    )
    assert ended(process) == (0, "", "")
    assert stored(world, agent_id) == 51


def test_the_handler_of_sigterm_is_installed_only_where_it_may(world: ServerProcess, agent_id: str) -> None:
    process = agent(
        MAKES_RUNS
        + """
    threading.Thread(target=lambda: AgentTracer(agent_id, "1", url)).start()
    AgentTracer(agent_id, "1", url, handle_sigterm=False)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    AgentTracer(agent_id, "1", url)
    assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
    """,
        world.ingest,
        agent_id,
    )
    assert ended(process) == (0, "", "")
