"""Servers for tests of the experiment store: MLflow's own, and proxies before it that are broken in part."""

from __future__ import annotations

import datetime
import http.server
import ipaddress
import os
import ssl
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@contextmanager
def serve(project: Path, uri: str) -> Iterator[subprocess.Popen[bytes]]:
    """A real server on the project's database, up when the block begins."""
    port = uri.rpartition(":")[2]
    words = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", port, "--workers", "1"]
    words += ["--backend-store-uri", f"sqlite:///{project / 'mlflow.db'}", "--artifacts-destination", str(project / "served")]
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    log = (project / ".cache/server.log").open("ab")
    server = subprocess.Popen(words, stdout=log, stderr=log, cwd=project, env=environment, start_new_session=True)
    try:
        deadline = time.monotonic() + 60
        while not _answers(uri):
            assert server.poll() is None, (project / ".cache/server.log").read_text()
            assert time.monotonic() < deadline, "the server did not come up in 60 s"
            time.sleep(0.2)
        yield server
    finally:
        os.killpg(server.pid, 9)
        server.wait(timeout=10)
        log.close()


def _answers(uri: str) -> bool:
    try:
        with urllib.request.urlopen(f"{uri}/health", timeout=1):
            return True
    except OSError:
        return False


def make_certificate(folder: Path, *, days: int) -> Path:
    """A certificate for 127.0.0.1, signed by itself, that ends so many days from now; its key lies in the same file."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=30)).not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    file = folder / f"certificate{days}.pem"
    file.write_bytes(key.private_bytes(serialization.Encoding.PEM, *plain) + made.public_bytes(serialization.Encoding.PEM))
    return file


@contextmanager
def proxy(target: str | None, *, certificate: Path | None = None, broken: Collection[str] = ()) -> Iterator[str]:
    """The address of a proxy for a store: paths with one of ``broken`` get a 500, all get a 200 without a target."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, kind, answer = 200, "application/json", b"{}"
            if any(word in self.path for word in broken):
                status, answer = 500, b'{"error_code": "INTERNAL_ERROR", "message": "no such bucket"}'
            elif target is not None:
                headers = {name: value for name, value in self.headers.items() if name.lower() not in ("host", "connection")}
                request = urllib.request.Request(target + self.path, data=body or None, headers=headers, method=self.command)
                try:
                    with urllib.request.urlopen(request, timeout=30) as found:
                        status, kind, answer = found.status, found.headers.get("Content-Type", kind), found.read()
                except urllib.error.HTTPError as error:
                    status, answer = error.code, error.read()
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_one  # noqa: N815 - http.server's names

        def log_message(self, *_: object) -> None:
            return

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a client that hangs up
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"{'http' if certificate is None else 'https'}://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
