"""The engines under a plant as tests run them: Redis, PostgreSQL and an S3 server, all real.

Each keeps what it knows in a folder and listens on a free port of the loopback; it can be killed
and started again on what it had kept.
"""

import os
import pwd
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Self
from urllib.parse import quote

import psycopg

from tests.e2e.servers import HANG_S, Program, free_port, wait_until

DEPLOY = Path(__file__).parents[1] / "deploy"

SWIFT = Path(__file__).parents[1] / "build" / "swift" / "bin"
"""Where the S3 server's virtual environment has its programs."""

S3_CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test:tester", "AWS_SECRET_ACCESS_KEY": "testing"}


class RedisServer(Program):
    """``redis-server`` that keeps nothing on disk, unless it is told to be ``durable``."""

    def __init__(self, folder: Path, *, durable: bool = False) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        listen = ["--bind", "127.0.0.1", "--port", str(self.port)]
        log = ["--appendonly", "yes", "--appendfsync", "always"] if durable else []
        keep = ["--save", "", "--dir", str(folder), *log]
        super().__init__(["redis-server", *listen, *keep], {}, folder / "redis.log")

    def start(self) -> None:
        """Start it, and return when it answers."""
        super().start()
        self.wait_for("(Ready to accept connections)")


class PostgresServer(Program):
    """``postgres`` on a cluster of its own, which root may not run and so leaves to its user."""

    def __init__(self, folder: Path) -> None:
        installed = Path("/usr/lib/postgresql").glob("*/bin/postgres")
        postgres = max(installed, key=lambda path: int(path.parts[-3]))
        self._port = free_port()
        user = "postgres" if os.geteuid() == 0 else None
        cluster = folder / "cluster"
        cluster.mkdir(mode=0o700)
        if user:
            shutil.chown(cluster, user)
        initdb = [str(postgres.with_name("initdb")), "--no-sync", "--locale", "C.UTF-8"]
        subprocess.run(
            [*initdb, "-D", str(cluster), "-U", "lathe", "-A", "trust", "-E", "UTF8"],
            check=True,
            stdout=subprocess.DEVNULL,
            user=user,
            cwd="/",
            timeout=HANG_S,
        )
        said = {"listen_addresses": "127.0.0.1", "port": self._port, "unix_socket_directories": ""}
        options = [f"-c{name}={value}" for name, value in said.items()]
        command = [str(postgres), "-D", str(cluster), *options]
        super().__init__(command, {}, folder / "postgres.log", user)

    def url(self, database: str) -> str:
        """Return the URL of a database."""
        return f"postgresql://lathe@127.0.0.1:{self._port}/{database}"

    def start(self) -> None:
        """Start it, and return when it answers."""
        super().start()
        self.wait_for("(database system is ready to accept connections)")

    def make_database(self, name: str) -> str:
        """Make an empty database and return its URL."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return self.url(name)


class NginxServer(Program):
    """``nginx`` with a configuration file of its own, which says where it listens."""

    def __init__(
        self,
        configuration: str,
        folder: Path,
        port: int,
        *,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._address = ("127.0.0.1", port)
        file = folder / "nginx.conf"
        file.write_text(configuration, "utf-8")
        # Debian keeps it where ordinary users do not look.
        nginx = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
        assert nginx is not None, "nginx is not installed"
        options = ["-p", str(folder), "-c", str(file), "-e", "stderr", "-g", "daemon off;"]
        super().__init__([nginx, *options], environment or {}, folder / "nginx.log")

    def start(self) -> None:
        """Start it, and return when it answers."""
        super().start()
        wait_until(partial(_listens, self._address), "the edge")

    def close(self) -> None:
        """End it with its workers, which outlive one that is killed."""
        if self._process is not None:
            self.stop()


@contextmanager
def stopped(pids: Sequence[int]) -> Iterator[None]:
    """Let processes stand still, as if they were cut off: nobody says that they are away."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


class EdgeServer(NginxServer):
    """The edge with a configuration of production, made to run in a folder of its own.

    ``ring`` are the keys it checks URLs with; ``store`` is the folder of ``folder.conf``;
    ``proxies`` are those that it believes when they say whom they speak for.
    """

    def __init__(
        self,
        configuration: str,
        folder: Path,
        port: int,
        *,
        ring: str,
        store: Path | None = None,
        proxies: str = "",
    ) -> None:
        shutil.copytree(DEPLOY / "nginx", folder / "lathe")
        for name, value in {
            # First, for the folder may be below it.
            "/tmp/": f"{folder}/",
            "worker_processes auto;": "worker_processes 1;",
            "load_module modules/": "load_module /usr/lib/nginx/modules/",
            "/etc/nginx/lathe/": f"{folder}/lathe/",
            "/var/cache/lathe": f"{folder}/cache",
            "/dev/stdout": f"{folder}/access.log",
        }.items():
            assert name in configuration
            configuration = configuration.replace(name, value)
        for chunks in ("cached.conf", "folder.conf"):
            served = folder / "lathe" / chunks
            text = served.read_text("utf-8").replace("/dev/stdout", f"{folder}/access.log")
            served.write_text(text.replace("/var/lib/lathe/store", str(store)), "utf-8")
        if os.geteuid() == 0:
            # A master process that root starts hands its workers to another user.
            configuration = f"user root;\n{configuration}"
        self._scripts = folder / "lathe"
        for script in self._scripts.glob("*.sh"):
            script.write_text(script.read_text("utf-8").replace("/tmp/", f"{folder}/"), "utf-8")
        self.write_ring(ring)
        self.write_proxies(proxies)
        environment = {"MALLOC_TRIM_THRESHOLD_": "4194304"}
        super().__init__(configuration, folder, port, environment=environment)

    def reload(self) -> None:
        """Let it take its configuration anew, as ``nginx -s reload`` does."""
        os.kill(self.pid, signal.SIGHUP)

    def write_ring(self, ring: str) -> None:
        """Write the keys that it checks with when it takes its configuration."""
        self._write("keys.sh", "LATHE_URL_KEYS", ring)

    def write_proxies(self, proxies: str) -> None:
        """Write whom it believes when it takes its configuration."""
        self._write("proxies.sh", "EDGE_PROXIES", proxies)

    def _write(self, script: str, setting: str, value: str) -> None:
        environment = {**os.environ, setting: value}
        subprocess.run(["sh", str(self._scripts / script)], env=environment, check=True)


class PrometheusServer(Program):
    """``prometheus`` with a configuration file of its own."""

    def __init__(self, configuration: Path, folder: Path) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        options = [f"--config.file={configuration}", f"--storage.tsdb.path={folder / 'metrics'}"]
        listen = f"--web.listen-address=127.0.0.1:{port}"
        super().__init__(["prometheus", *options, listen], {}, folder / "prometheus.log")

    def start(self) -> None:
        """Start it, and return when it answers."""
        super().start()
        self.wait_for("(Server is ready to receive web requests)")


class SwiftServer:
    """OpenStack Swift on one device: its three storage servers, and a proxy that speaks S3."""

    def __init__(self, folder: Path) -> None:
        ports = {name: free_port() for name in ("account", "container", "object", "proxy")}
        self._addresses = [("127.0.0.1", port) for port in ports.values()]
        self._folder = folder
        self.endpoint = f"http://127.0.0.1:{ports['proxy']}"
        (folder / "devices" / "d1").mkdir(parents=True)
        (folder / "swift.conf").write_text(_SWIFT)
        self._servers = []
        for name, port in ports.items():
            file, form = folder / f"{name}.conf", _PROXY if name == "proxy" else _STORAGE
            user = pwd.getpwuid(os.geteuid()).pw_name
            file.write_text(form.format(name=name, port=port, folder=folder, user=user))
            if name != "proxy":
                _build_ring(folder / f"{name}.builder", port)
            command = [str(SWIFT / f"swift-{name}-server"), str(file)]
            self._servers.append(Program(command, {}, folder / f"{name}.log"))

    @property
    def pids(self) -> list[int]:
        """The ids of its processes."""
        return [server.pid for server in self._servers]

    def start(self) -> None:
        """Start it, and return when all of it answers."""
        for server in self._servers:
            server.start()
        for address in self._addresses:
            wait_until(partial(_listens, address), f"the server at {address}")

    def catch_up(self) -> None:
        """Let listings name what was stored while a server was away, as Swift does in time."""
        for name in ("obj", "container"):
            # The daemons look for Swift's own configuration in one place only.
            code = (
                "import sys; from swift.common import utils; utils.set_swift_dir(sys.argv.pop(1)); "
                f"from swift.{name}.updater import main; main()"
            )
            file = self._folder / f"{'object' if name == 'obj' else name}.conf"
            command = [str(SWIFT / "python"), "-c", code, str(self._folder), str(file), "once"]
            subprocess.run(command, check=True, capture_output=True, timeout=HANG_S)

    def kill(self) -> None:
        """End all of it as a power cut does."""
        for server in self._servers:
            server.kill()

    def close(self) -> None:
        """Make sure that it is gone."""
        for server in self._servers:
            server.close()

    def url(self, bucket: str) -> str:
        """Return the URL of a store in a bucket."""
        return f"s3://{bucket}?endpoint={quote(self.endpoint, safe='')}&region=us-east-1"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _build_ring(builder: Path, port: int) -> None:
    device = f"r1z1-127.0.0.1:{port}/d1"
    for step in (["create", "4", "1", "0"], ["add", device, "1"], ["rebalance"]):
        command = [str(SWIFT / "swift-ring-builder"), str(builder), *step]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=HANG_S)


def _listens(address: tuple[str, int]) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(address) == 0


_SWIFT = """
[swift-hash]
swift_hash_path_prefix = t
swift_hash_path_suffix = t
[storage-policy:0]
name = p0
default = yes
"""

_STORAGE = """
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
workers = 0
user = {user}
swift_dir = {folder}
devices = {folder}/devices
mount_check = false
fallocate_reserve = 0
log_address = {folder}/no-log
recon_cache_path = {folder}
[pipeline:main]
pipeline = {name}-server
[app:{name}-server]
use = egg:swift#{name}
fsync = false
[{name}-updater]
"""

_PROXY = """
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
workers = 0
user = {user}
swift_dir = {folder}
log_address = {folder}/no-log
[pipeline:main]
pipeline = catch_errors cache s3api tempauth bulk slo dlo proxy-server
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:1
[filter:s3api]
use = egg:swift#s3api
s3_acl = no
location = us-east-1
check_bucket_owner = no
[filter:tempauth]
use = egg:swift#tempauth
user_test_tester = testing .admin
[filter:bulk]
use = egg:swift#bulk
[filter:slo]
use = egg:swift#slo
[filter:dlo]
use = egg:swift#dlo
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
allow_account_management = true
# There is no other device to turn to when this one is slow for a while.
conn_timeout = 10
node_timeout = 60
error_suppression_limit = 1000000
"""
