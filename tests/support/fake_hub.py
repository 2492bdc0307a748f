"""A hub on this machine: as much of the Hugging Face hub's protocol as a push and a pull take."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"

Repos = dict[str, dict[str, bytes]]
"""Files by path, by repository."""


def _entry(path: str, content: bytes) -> dict[str, object]:
    return {"type": "file", "path": path, "size": len(content), "oid": "0" * 40}


def handler_for(repos: Repos) -> type[BaseHTTPRequestHandler]:
    """A request handler on repositories that are shared with the test."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Nothing is logged."""

        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding") != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length") or 0))
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return body

        def _answer(self, values: object, code: int = 200) -> None:
            self._send(code, json.dumps(values).encode(), {"Content-Type": "application/json"})

        def _send(self, code: int, content: bytes, headers: dict[str, str]) -> None:
            self.send_response(code)
            for name, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        def do_POST(self) -> None:
            body, parts = self._body(), urlsplit(self.path).path.strip("/").split("/")
            if parts == ["api", "repos", "create"]:
                said = json.loads(body)
                owner = said.get("organization") or "me"
                repos.setdefault(f"{owner}/{said['name']}", {})
                self._answer({"url": f"{self._url()}/{owner}/{said['name']}"})
            elif parts[-2] == "preupload":
                files = [
                    {"path": one["path"], "uploadMode": "regular", "shouldIgnore": False}
                    for one in json.loads(body)["files"]
                ]
                self._answer({"files": files})
            elif parts[-2] == "commit":
                repo = repos["/".join(parts[2:4])]
                for one in map(json.loads, body.splitlines()):
                    if one["key"] == "file":
                        repo[one["value"]["path"]] = base64.b64decode(one["value"]["content"])
                where = f"{self._url()}/{'/'.join(parts[2:4])}/commit/{COMMIT}"
                self._answer({"success": True, "commitOid": COMMIT, "commitUrl": where})
            else:
                self._answer({})

        def do_GET(self) -> None:
            parts = unquote(urlsplit(self.path).path).strip("/").split("/")
            if parts[0] == "api" and "/".join(parts[2:4]) in repos:
                name = "/".join(parts[2:4])
                if "tree" in parts:
                    self._answer([_entry(path, repos[name][path]) for path in sorted(repos[name])])
                    return
                files = [{"rfilename": path} for path in sorted(repos[name])]
                self._answer({"id": name, "sha": COMMIT, "siblings": files, "tags": []})
                return
            content = repos.get("/".join(parts[:2]), {}).get("/".join(parts[4:]))
            if content is None:
                self._send(404, b"", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT})
                return
            etag = f'"{hashlib.sha256(content).hexdigest()}"'
            self._send(200, content, {"ETag": etag, "X-Repo-Commit": COMMIT})

        do_HEAD = do_GET  # noqa: N815

        def _url(self) -> str:
            return f"http://{self.headers['Host']}"

    return Handler


@contextmanager
def fake_hub() -> Iterator[tuple[str, Repos]]:
    """Its address, and what it holds."""
    repos: Repos = {}
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler_for(repos))
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", repos
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
