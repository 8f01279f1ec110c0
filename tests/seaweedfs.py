"""A real S3 server for the tests: SeaweedFS, from the development dependencies, on free ports of the loopback.

Starting takes about three seconds, nearly all of it waiting. It is killed rather than stopped, because stopping takes
ten, and it dies with the last process that holds it, however that one ends.
"""

from __future__ import annotations

import fcntl
import json
import os
import random
import secrets
import shlex
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

READER: Final = "reader"
"""Access key of a user who may only read; the secret is the other's."""

STARTING_SECONDS: Final = 120.0
GRPC_OFFSET: Final = 10_000  # every component also listens here above its HTTP port

# The shell waits for a line or the end of its standard input; the end comes when all that hold it have died.
LEASH: Final = '"$@" & read -r _; exec <&-; kill -9 $!; wait; rm -f $SOCKETS'


class S3Server(NamedTuple):
    """Where it listens, and who may use it."""

    endpoint: str
    access_key: str
    secret_key: str
    bucket: str

    def environment(self) -> dict[str, str]:
        """What boto3 reads, and nothing of the machine's own configuration."""
        return {
            "AWS_ENDPOINT_URL_S3": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": "/dev/null",
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        }


@contextmanager
def running(folder: Path, address: str = "127.0.0.1") -> Iterator[S3Server]:
    """A server with one user, for all processes that name this folder, and a bucket for each of them. The first one
    starts it, to listen on `address`. It is killed when the last one has left or died, for which the first one waits.
    """
    folder.mkdir(parents=True, exist_ok=True)
    leash, process = folder / "leash", None
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            held = os.open(leash, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:  # nobody has started one, or everybody has left it
            held, process, server = _started(leash, address)
            (folder / "server.json").write_text(json.dumps(server))
        else:
            server = S3Server(*json.loads((folder / "server.json").read_text()))
    try:
        own = server._replace(bucket=f"metaqnn-{secrets.token_hex(4)}")
        assert wait_until_it_answers(own)
        yield own
    finally:
        os.close(held)
        if process is not None:
            process.wait()


def _started(leash: Path, address: str) -> tuple[int, subprocess.Popen[bytes], S3Server]:
    """A new server, and an end of the named pipe that keeps it alive, as does each other one opened for writing."""
    for _ in range(3):  # another process may take a port between looking and listening
        ports, here = free_ports(4), Path(tempfile.mkdtemp(prefix="weed-", dir=leash.parent))
        server = S3Server(f"http://{address}:{ports[3]}", "tester", secrets.token_hex(16), "first")
        leash.unlink(missing_ok=True)
        os.mkfifo(leash)
        reading = os.open(leash, os.O_RDONLY | os.O_NONBLOCK)  # it would wait for somebody who writes
        os.set_blocking(reading, True)
        held = os.open(leash, os.O_WRONLY)
        process = start(here, ports, server, address, reading, f"{LEASH}; rm -rf {shlex.quote(str(here))}")
        os.close(reading)
        if wait_until_it_answers(server):
            return held, process, server
        log = (here / "weed.log").read_text(errors="replace")
        os.close(held)
        process.wait()
    raise RuntimeError(f"SeaweedFS does not start; the end of its log:\n{log[-2000:]}")


def start(
    here: Path, ports: list[int], server: S3Server, address: str, leash: int = subprocess.PIPE, shell: str = LEASH
) -> subprocess.Popen[bytes]:
    """A server with its data in `here`, which listens on `address` and is killed when `leash` ends."""
    master, volume, filer, s3 = ports
    user = {
        "name": "tester",
        "credentials": [{"accessKey": server.access_key, "secretKey": server.secret_key}],
        "actions": ["Admin", "Read", "List", "Tagging", "Write"],
    }
    reader = {
        "name": READER,
        "credentials": [{"accessKey": READER, "secretKey": server.secret_key}],
        "actions": ["Read", "List"],
    }
    (here / "s3.json").write_text(json.dumps({"identities": [user, reader]}))
    weed = Path(sys.executable).with_name("weed")
    options = (
        f"-dir={here} -ip={address} -ip.bind={address} -filer -s3 -s3.config={here}/s3.json -s3.port={s3} "
        f"-master.port={master} -volume.port={volume} -filer.port={filer} -filer.localSocket={here}/filer.sock "
        # Both would listen on a fixed port, so that a second server on this machine could not start.
        "-s3.port.iceberg=0 -s3.port.lance=0 -s3.autoCreateBucket=false "
        "-master.telemetry=false -master.volumeSizeLimitMB=64 -volume.max=200 "
        # A master that begins again on what another left waits so long, half as long again, for others like it.
        "-master.electionTimeout=1s"
    )
    command = ["sh", "-c", shell, "leash", str(weed), f"-logdir={here}", "server", *options.split()]
    sockets = " ".join(f"/tmp/seaweedfs-*-{port}.sock" for base in ports for port in (base, base + GRPC_OFFSET))
    with (here / "weed.log").open("wb") as log:
        return subprocess.Popen(
            command,
            env={**os.environ, "SOCKETS": sockets, "GOGC": "400"},  # it looks for garbage less often
            stdin=leash,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def kill(process: subprocess.Popen[bytes]) -> None:
    """Nothing is finished, and nothing happens where it is dead already."""
    if process.stdin is not None and not process.stdin.closed:
        process.communicate(b"\n", timeout=30)


def wait_until_it_answers(server: S3Server) -> bool:
    """Make its bucket. True once an object could be written; False if time ran out."""
    client = boto3.client(
        "s3",
        endpoint_url=server.endpoint,
        aws_access_key_id=server.access_key,
        aws_secret_access_key=server.secret_key,
        region_name="us-east-1",
        config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
    )
    deadline = time.monotonic() + STARTING_SECONDS
    try:
        while time.monotonic() < deadline:
            with suppress(ClientError, BotoCoreError):
                with suppress(client.exceptions.BucketAlreadyOwnedByYou, client.exceptions.BucketAlreadyExists):
                    client.create_bucket(Bucket=server.bucket)
                client.put_object(Bucket=server.bucket, Key="ready", Body=b"")
                return True
            time.sleep(0.05)
        return False
    finally:
        client.close()


def free_ports(count: int) -> list[int]:
    """Ports that are free now, below the range that the system hands out by itself, with their gRPC twins free too."""
    found: list[int] = []
    while len(found) < count:
        port = random.randrange(12_000, 22_000)
        with suppress(OSError), socket.socket() as http, socket.socket() as grpc:
            http.bind(("127.0.0.1", port))
            grpc.bind(("127.0.0.1", port + GRPC_OFFSET))
            found.append(port)
    return found
