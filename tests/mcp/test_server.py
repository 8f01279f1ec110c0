"""The server for assistants, asked by a client of the SDK over standard input and output, as a real client asks it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import jsonschema
import pytest

pytest.importorskip("mcp")

from mcp.client.stdio import StdioServerParameters, stdio_client

from mcp import Client
from metaqnn_trainer.store.directory import DirectoryStore
from tests.cli.conftest import PROGRAM, TINY, Cli, clean_environment, cli, needs_trainer
from tests.reporting.runs import write_run

__all__ = ["cli"]


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with the run `test`."""
    folder = tmp_path_factory.mktemp("store")
    write_run(DirectoryStore(folder))
    return folder


@asynccontextmanager
async def client(store: Path, *options: str) -> AsyncIterator[Client]:
    environment = {**clean_environment(), "KUBECONFIG": "/no/kubeconfig", "XDG_STATE_HOME": str(store)}
    server = StdioServerParameters(
        command=str(PROGRAM), args=["mcp", "--store", str(store), *options], env=environment, cwd=store
    )
    async with Client(stdio_client(server)) as connected:
        yield connected


def asked(store: Path, talk: Callable[[Client], Coroutine[Any, Any, None]], *options: str) -> None:
    """Hold a conversation with a server of its own."""

    async def whole() -> None:
        with anyio.fail_after(60):
            async with client(store, *options) as connected:
                await talk(connected)

    anyio.run(whole)


async def told(connected: Client, tool: str, **arguments: Any) -> Any:
    """The answer, which is in the text as in the structure; the client holds it to the tool's schema."""
    answer = await connected.call_tool(tool, arguments)
    (content,) = answer.content
    assert not answer.is_error, content
    assert json.loads(content.text) == answer.structured_content  # type: ignore[union-attr]
    return answer.structured_content


async def refused(connected: Client, tool: str, **arguments: Any) -> str:
    answer = await connected.call_tool(tool, arguments)
    assert answer.is_error
    text: str = answer.content[0].text  # type: ignore[union-attr]
    assert not any(word in text for word in ("Traceback", "pydantic", "validation error", "input_value"))
    return text


def test_it_answers_as_the_commands_do(stored: Path, cli: Cli) -> None:
    status = cli("status", "test", "--store", stored, "-o", "json").json()
    trials = cli("trials", "test", "--store", stored, "-o", "json").json()
    trial = cli("trial", "test", trials[3]["trial"], "--store", stored, "-o", "json").json()
    explanation = cli("explain", "test", "--store", stored, "-o", "json").json()

    async def talk(connected: Client) -> None:
        assert await told(connected, "status", run="test") == status
        first = await told(connected, "trials", run="test", limit=20)
        rest = await told(connected, "trials", run="test", offset=first["next_offset"], limit=100)
        assert first["trials"] + rest["trials"] == trials
        assert (rest["total"], rest["next_offset"]) == (len(trials), None)
        best = await told(connected, "trials", run="test", best_first=True, limit=1)
        assert best["trials"][0]["trial"] == status["best"]["trial"]
        assert await told(connected, "trial", run="test", trial=trials[3]["trial"]) == trial
        assert await told(connected, "explain", run="test") == explanation
        assert status["best"]["net"] in (await told(connected, "report", run="test"))["text"]
        assert [run["run"] for run in (await told(connected, "runs"))["runs"]] == ["test"]
        assert (await told(connected, "space", preset_or_file="digits"))["actions"]
        assert (await told(connected, "describe", net="[C(16,3,1), GAP(10), SM(10)]", preset_or_file="digits"))["legal"]
        settings = await told(connected, "config", preset_or_file="digits", settings=["recipe.epochs=3"])
        assert settings["settings"]["recipe.epochs"]["value"] == 3
        assert {one["mark"] for one in (await told(connected, "doctor", preset_or_file="digits"))["diagnoses"]}

    asked(stored, talk)


def test_what_is_wrong_is_said_in_plain_words_and_the_server_goes_on(stored: Path) -> None:
    (stored / "outside.yaml").symlink_to("/etc/hostname")

    async def talk(connected: Client) -> None:
        assert "no run 'nowhere'" in await refused(connected, "status", run="nowhere")
        assert await refused(connected, "status") == "run must be given"
        assert "no argument path; its arguments: run" in await refused(connected, "status", run="test", path="/")
        assert "limit" in await refused(connected, "trials", run="test", limit=100_000)
        assert "there is no tool 'rm'" in await refused(connected, "rm", run="test")
        assert "there is no tool 'start'" in await refused(connected, "start", token="a")
        assert "has no verdict" in await refused(connected, "verdict", run="test")
        assert "no trial" in await refused(connected, "trial", run="test", trial="ffffffffffff")
        assert "no log" in await refused(connected, "logs", run="test")
        for name in ("/etc/passwd", "../secret.yaml", "outside.yaml"):
            assert "nor a file in the folder" in await refused(connected, "config", preset_or_file=name)
        assert "--run" not in await refused(connected, "status", run="--store=/")
        assert (await told(connected, "status", run="test"))["run"] == "test"

    asked(stored, talk)


def test_a_store_that_is_away_fails_the_call_and_not_the_server(tmp_path: Path) -> None:
    broken = tmp_path / "store"
    broken.write_text("a file where a folder should be")

    async def talk(connected: Client) -> None:
        assert await refused(connected, "status", run="test")
        broken.unlink()
        write_run(DirectoryStore(broken))
        assert (await told(connected, "status", run="test"))["run"] == "test"

    async def whole() -> None:
        server = StdioServerParameters(
            command=str(PROGRAM), args=["mcp", "--store", str(broken)], env=clean_environment(), cwd=tmp_path
        )
        with anyio.fail_after(60):
            async with Client(stdio_client(server)) as connected:
                await talk(connected)

    anyio.run(whole)


def test_every_tool_says_what_it_does_and_whether_it_changes_anything(stored: Path) -> None:
    async def talk(connected: Client) -> None:
        tools = {tool.name: tool for tool in (await connected.list_tools()).tools}
        for tool in tools.values():
            assert tool.description
            assert tool.output_schema is not None
            jsonschema.Draft202012Validator.check_schema(tool.output_schema)
            assert tool.input_schema["additionalProperties"] is False
            for name, argument in tool.input_schema["properties"].items():
                assert argument.get("description"), f"{tool.name}: {name}"
        hints = {name: tool.annotations for name, tool in tools.items()}
        acting = {name for name, hint in hints.items() if hint and not hint.read_only_hint}
        assert acting == {"doctor", "start", "cancel"}
        assert {name for name, hint in hints.items() if hint and hint.destructive_hint} == {"cancel"}

    asked(stored, talk, "--allow=start", "--allow=cancel", "--budget-trials=5")


def test_standard_output_carries_the_protocol_alone_and_the_end_of_input_ends_it(stored: Path) -> None:
    lines = ['{"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": "2025-06-18", '
             '"capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}}',
             '{"jsonrpc": "2.0", "method": "notifications/initialized"}',
             "this is no request",
             '{"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "status", "arguments": 7}}',
             '{"jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": {"name": "status", "arguments": '
             '{"run": "test"}}}']  # fmt: skip
    with subprocess.Popen(
        [PROGRAM, "mcp", "--store", stored],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=clean_environment(),
    ) as server:  # fmt: skip
        assert server.stdin is not None
        assert server.stdout is not None
        server.stdin.write("\n".join(lines) + "\n")
        server.stdin.flush()
        answers: dict[Any, Any] = {}
        while 3 not in answers:
            answer = json.loads(server.stdout.readline())
            answers[answer.get("id")] = answer
        server.stdin.close()
        assert server.stdout.read() == ""
        assert server.wait(20) == 0
    assert "error" in answers[2]
    assert answers[3]["result"]["structuredContent"]["run"] == "test"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--allow=start"], "--allow start needs a budget"),
        (["--budget-trials=3"], "are for --allow start"),
        (["--launcher=table"], "starts no rehearsals"),
    ],
)
def test_a_server_that_may_start_needs_a_budget(options: list[str], words: str, stored: Path, cli: Cli) -> None:
    assert words in cli("mcp", "--store", stored, *options).refused()


@needs_trainer
def test_a_search_is_started_goes_on_without_the_client_and_is_cancelled(tmp_path: Path) -> None:
    """A real search of real nets: its budget holds although the server that set it is gone."""
    options = ("--allow=start", "--allow=cancel", "--budget-trials=2", "--budget-hours=1")
    small = [argument.removeprefix("--set=") for argument in TINY if argument.startswith("--set=")]

    async def begin(connected: Client) -> None:
        wanted = {"run": "first", "preset_or_file": "digits", "settings": small}
        words = await refused(connected, "preview_start", trials=3, **wanted)
        assert "2 are left" in words
        seen = await told(connected, "preview_start", trials=2, **wanted)
        assert seen["estimate"]["nets"] == 2
        assert "confirms nothing" in await refused(connected, "start", token="yes")
        made = await told(connected, "start", token=seen["token"])
        assert made["budget_left"]["trials"] == 0
        assert "confirms nothing" in await refused(connected, "start", token=seen["token"])
        assert "confirms nothing" in await refused(connected, "cancel", token=seen["token"])

    async def end(connected: Client) -> None:
        while (status := await told(connected, "status", run="first"))["state"] == "running":
            await anyio.sleep(0.2)
        assert (status["state"], status["unique"], status["goal"]) == ("complete", 2, 2)
        assert "run first" in (await told(connected, "logs", run="first"))["text"]
        seen = await told(connected, "preview_cancel", run="first")
        assert seen["holder"] is None
        assert (await told(connected, "cancel", token=seen["token"]))["was_running"] is False

    asked(tmp_path, begin, *options)
    asked(tmp_path, end, *options)
