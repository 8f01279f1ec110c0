"""A real S3 server for the tests: SeaweedFS, from the development dependencies, on free ports of the loopback.

Starting takes about three seconds, nearly all of it waiting. It is killed rather than stopped, because stopping takes
ten, and it dies with the process that started it, however that one ends.
"""

from __future__ import annotations

import json
import random
import secrets
import shutil
import socket
import subprocess
import sys
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

# The shell waits for a line or the end of its standard input; the end comes when the test process dies.
LEASH: Final = '"$@" & read -r _; kill -9 $!; wait'


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
def running(directory: Path, address: str = "127.0.0.1") -> Iterator[S3Server]:
    """A server with one bucket and one user, its data in `directory`, until the block ends. It listens on `address`."""
    server = S3Server("", "tester", secrets.token_hex(16), f"metaqnn-{secrets.token_hex(4)}")
    for attempt in range(3):  # another process may take a port between looking and listening
        ports = free_ports(4)
        here = directory / f"weed-{attempt}"
        here.mkdir(parents=True)
        process = start(here, ports, server, address)
        try:
            endpoint = f"http://{address}:{ports[3]}"
            if wait_until_it_answers(process, server._replace(endpoint=endpoint)):
                yield server._replace(endpoint=endpoint)
                return
        finally:
            kill(process)
            for port in (*ports, *(port + GRPC_OFFSET for port in ports)):
                for left_behind in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):
                    left_behind.unlink()
            log = (here / "weed.log").read_text(errors="replace")
            shutil.rmtree(here, ignore_errors=True)
    raise RuntimeError(f"SeaweedFS does not start; the end of its log:\n{log[-2000:]}")


def start(here: Path, ports: list[int], server: S3Server, address: str) -> subprocess.Popen[bytes]:
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
        "-master.telemetry=false -master.volumeSizeLimitMB=64 -volume.max=20 "
        # A master that begins again on what another left waits so long, half as long again, for others like it.
        "-master.electionTimeout=1s"
    )
    command = ["sh", "-c", LEASH, "leash", str(weed), f"-logdir={here}", "server", *options.split()]
    with (here / "weed.log").open("wb") as log:
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True)


def kill(process: subprocess.Popen[bytes]) -> None:
    """Nothing is finished, and nothing happens where it is dead already."""
    if process.stdin is not None and not process.stdin.closed:
        process.communicate(b"\n", timeout=30)


def wait_until_it_answers(process: subprocess.Popen[bytes], server: S3Server) -> bool:
    """True once an object could be written; False if time ran out."""
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
        while time.monotonic() < deadline and process.poll() is None:
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
