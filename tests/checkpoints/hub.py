"""A small HTTP server with the hub's routes, and a program that loads from it with the real client.

The program runs in a process of its own because the client reads HF_ENDPOINT, HF_HOME and HF_HUB_OFFLINE once.
"""

import hashlib
import json
import os
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import TracebackType
from typing import Any

PROGRAM = """
import json, sys, torch
import internvl_seg
internvl_seg.register_encoder(internvl_seg.Release('tiny_release', depth=3, img_size=42, hub_id='OpenGVLab/tiny'))
answers = []
for source in json.loads(sys.argv[1]):
    source, options = source if isinstance(source, list) else (source, {})
    try:
        encoder = internvl_seg.load_encoder(source, **options)
        answers.append({'sum': encoder.forward_features(torch.ones(1, 3, 42, 42)).double().sum().item()})
    except internvl_seg.CheckpointError as error:
        answers.append({'error': type(error).__name__, 'message': str(error)})
print('ANSWERS' + json.dumps(answers))
"""


class Hub:
    """Serves ``root/<owner>/<name>/<file>`` as ``/<owner>/<name>/resolve/<revision>/<file>``.

    There are the revisions ``main`` and ``v1``; of the repository's folder ``v1`` if that is asked for. A repository
    called ``gated`` asks for terms to be accepted, one called ``forbidden`` answers 403, for all but the token
    ``good``.
    """

    def __init__(self, root: Path) -> None:
        requests: list[str] = []

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_HEAD(self) -> None:
                self.answer(with_body=False)

            def do_GET(self) -> None:
                self.answer(with_body=True)

            def answer(self, with_body: bool) -> None:
                requests.append(f"{self.command} {self.path}")
                repo, _, rest = self.path.strip("/").partition("/resolve/")
                revision, _, name = rest.partition("/")
                path = root / repo / (name if revision == "main" else f"{revision}/{name}")
                body = path.read_bytes() if path.is_file() else b""
                if self.refused(repo, revision):
                    return
                if path.is_file():
                    self.send_response(200)
                    self.send_header("ETag", f'"{hashlib.sha1(body).hexdigest()}"')
                    self.send_header("X-Repo-Commit", "0" * 40)
                    self.send_header("Accept-Ranges", "bytes")
                else:
                    self.send_response(404 if (root / repo).is_dir() else 401)
                    self.send_header("X-Error-Code", "EntryNotFound" if (root / repo).is_dir() else "RepoNotFound")
                    self.send_header("X-Repo-Commit", "0" * 40)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if with_body:
                    self.wfile.write(body)

            def refused(self, repo: str, revision: str) -> bool:
                """Answer what the real hub answers to those who may not have a repository."""
                answers = {
                    "OpenGVLab/gated": (403, "GatedRepo", "Access is restricted. Visit its page to ask for access."),
                    "OpenGVLab/forbidden": (403, "", "Your plan does not include this region."),
                }
                answer = answers.get(repo)
                if answer is not None and self.headers.get("Authorization") == "Bearer good":
                    answer = None
                if answer is None and revision not in ("main", "v1") and (root / repo).is_dir():
                    answer = (404, "RevisionNotFound", "Invalid rev id")
                if answer is not None:
                    self.send_response(answer[0])
                    self.send_header("X-Error-Code", answer[1])
                    self.send_header("X-Error-Message", answer[2])
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                return answer is not None

            def log_message(self, *args: Any) -> None:
                pass

        self.requests = requests
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> "Hub":
        Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()


def load_in_a_process(sources: list[Any], cache: Path, address: str, offline: bool = False) -> list[dict[str, Any]]:
    """What the program answers for each source."""
    environment = os.environ | {
        "HF_ENDPOINT": address,
        "HF_HOME": str(cache),
        "HF_HUB_OFFLINE": str(int(offline)),
        "HF_HUB_DISABLE_XET": "1",
        "NO_PROXY": "127.0.0.1",
    }
    command = [sys.executable, "-c", PROGRAM, json.dumps(sources)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert "ANSWERS" in done.stdout, done.stderr
    return list(json.loads(done.stdout.split("ANSWERS")[1]))
