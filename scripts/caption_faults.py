"""Runs `wbc-clip caption` through a proxy that spoils a real model server's answers, and prints what became of it.

    python3 scripts/caption_faults.py --server http://127.0.0.1:18081 --model qwen-0.5b --input wbcatt:train

Each fault is met twice: `passing`, by the first three requests only, must end with every caption and exit 0, and
`lasting`, by all requests, with exit 1 and the cause; the same command, the fault gone, must finish without asking again
for what was answered. A wrong key and an unknown model end at once, and a bad answer costs attempts instead: then the
grammar writes. No file and no message may hold the key. Exits with 1 where a line of the table is not as it must be.
Needs nothing but Python, the release build of the command, and a server that speaks OpenAI's protocol.
"""

import argparse
import http.server
import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

KEY = "sk-script-0123456789"
ANSWER = {
    "id": "1", "object": "chat.completion", "created": 1, "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": ""}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
}  # fmt: skip


def answer(text):
    return json.dumps({**ANSWER, "choices": [{**ANSWER["choices"][0], "message": {"role": "assistant", "content": text}}]})


# faults that end a run at once, and those that are answers
FINAL, ANSWERS = {"wrong key", "unknown model"}, {"empty answer", "10 MB answer"}
# status, headers, body; or a name that the handler knows
FAULTS = {
    "429": (429, {}, "{}"),
    "429 Retry-After": (429, {"Retry-After": "1"}, "{}"),
    "429 skewed clock": (429, {"Date": "Fri, 31 Dec 1999 23:59:58 GMT", "Retry-After": "Fri, 31 Dec 1999 23:59:59 GMT"}, "{}"),
    "500": (500, {}, '{"error": {"message": "broken"}}'),
    "503": (503, {}, "overloaded"),
    "reset in mid-stream": "reset",
    "slow drip": "drip",
    "half JSON": (200, {}, '{"choices": [{"message"'),
    "wrong schema": (200, {}, '{"text": "a cell"}'),
    "empty answer": (200, {}, answer("")),
    "10 MB answer": (200, {}, answer("granules " * 1_200_000)),
    "wrong key": (401, {}, json.dumps({"error": {"message": f"Incorrect API key provided: {KEY}"}})),
    "unknown model": (404, {}, '{"error": {"message": "The model does not exist"}}'),
}  # fmt: skip


class Proxy(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, server):
        super().__init__(("127.0.0.1", 0), Handler)
        self.target, self.fault, self.left, self.after, self.forwarded = server, None, 0, 0, 0
        self.lock = threading.Lock()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request, client_address):
        pass  # broken connections are what this is about


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def date_time_string(self, timestamp=None):
        return self.date if hasattr(self, "date") else super().date_time_string(timestamp)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        proxy = self.server
        with proxy.lock:
            spoil = proxy.left > 0 and proxy.forwarded >= proxy.after
            proxy.left -= spoil
            proxy.forwarded += not spoil
        if not spoil:
            request = urllib.request.Request(proxy.target + self.path, body, {"Content-Type": "application/json"})
            try:
                with urllib.request.urlopen(request) as reply:
                    status, text = reply.status, reply.read()
            except urllib.error.HTTPError as error:
                status, text = error.code, error.read()
            self.reply(status, {}, text)
        elif isinstance(proxy.fault, tuple):
            status, headers, text = proxy.fault
            self.reply(status, headers, text.encode())
        else:
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 5000\r\n\r\n{")
            while proxy.fault == "drip":
                self.wfile.write(b" ")
                time.sleep(0.1)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            self.close_connection = True

    def reply(self, status, headers, text):
        if "Date" in headers:
            self.date = headers["Date"]
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(text)), **headers}.items():
            if name != "Date":
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--input", required=True)
    parser.add_argument("--only", nargs="*", help="faults by name; those of the server itself are always met")
    parser.add_argument("--command", default="target/release/wbc-clip")
    arguments = parser.parse_args()
    proxy = Proxy(arguments.server.rstrip("/"))
    endpoint = f"http://127.0.0.1:{proxy.server_port}/v1/"
    folder = pathlib.Path(tempfile.mkdtemp())

    def config(name, endpoint=endpoint, prompt="", model=arguments.model):
        text = f"""version = 1\ncaptions_per_cell = 2\ntemplates = 2\n[[captioner]]\nkind = "model"\nmax_facts = 4
[captioner.model]\nname = "{model}"\nprovider = "openai"\nendpoint = "{endpoint}"\nkey_env = "FAULTS_KEY"
max_answer_tokens = 40\ntimeout_secs = 20\nretries = 3\nfirst_pause_secs = 0.2\ngive_up_after = 2\n{prompt}"""
        (folder / f"{name}.toml").write_text(text)

    def caption(name, out):
        run = subprocess.run(
            [arguments.command, "--json", "caption", arguments.input, "--captioners", folder / f"{name}.toml"]
            + ["--limit-combinations", "2", "--out", folder / out],
            capture_output=True, text=True, env={**os.environ, "FAULTS_KEY": KEY},
        )  # fmt: skip
        assert KEY not in run.stdout + run.stderr, f"{name}: the key shows"
        assert "panicked" not in run.stderr, run.stderr
        done = json.loads(run.stdout)
        return run.returncode, done["n_captions"], done["n_unanswered"], done["errors"]

    wrong = []

    def line(fault, kind, result, asked, exit):
        code, n, waiting, errors = result
        if code != exit or (waiting > 0) != (exit == 1):
            wrong.append(f"{fault}, {kind}: exit {code}, {waiting} waiting, expected exit {exit}")
        cause = errors[0]["cause"][:90] if errors else ""
        print(f"| {fault} | {kind} | {code} | {n} | {waiting} | {asked} | {cause} |", flush=True)

    print("| fault | kind | exit | captions | waiting | real answers | cause |\n|---|---|---|---|---|---|---|")
    config("ordinary")
    config("drip")
    (folder / "drip.toml").write_text((folder / "drip.toml").read_text().replace("timeout_secs = 20", "timeout_secs = 8"))
    line("none", "", caption("ordinary", "plain.jsonl"), proxy.forwarded, 0)
    for fault, spoiled in FAULTS.items():
        if arguments.only and fault not in arguments.only:
            continue
        name, out = ("drip" if spoiled == "drip" else "ordinary"), fault.replace(" ", "-")
        for kind, left in (("passing", 3), ("lasting", 10**9)):
            proxy.fault, proxy.left, proxy.forwarded = spoiled, left, 0
            fails = fault in FINAL or (kind == "lasting" and fault not in ANSWERS)
            line(fault, kind, caption(name, f"{out}-{kind}.jsonl"), proxy.forwarded, int(fails))
        proxy.left, proxy.forwarded = 0, 0
        line(fault, "then gone", caption(name, f"{out}-lasting.jsonl"), proxy.forwarded, 0)
    # what was answered before the provider failed is not asked for again
    proxy.fault, proxy.left, proxy.after, proxy.forwarded = FAULTS["500"], 10**9, 7, 0
    line("500 from the eighth request on", "lasting", caption("ordinary", "halfway.jsonl"), proxy.forwarded, 1)
    proxy.left, proxy.forwarded = 0, 0
    line("500 from the eighth request on", "then gone", caption("ordinary", "halfway.jsonl"), proxy.forwarded, 0)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        closed = f"http://127.0.0.1:{free.getsockname()[1]}/v1/"
    config("refused", endpoint=closed)
    line("connection refused", "lasting", caption("refused", "refused.jsonl"), 0, 1)
    # what the real server itself says to a name that it does not serve, and to a conversation that it cannot hold
    proxy.forwarded = 0
    config("nobody", model="no-such-model")
    line("unknown model (the server's own)", "", caption("nobody", "nobody.jsonl"), proxy.forwarded, 0)
    sentence = pathlib.Path(__file__).parent.parent / "crates/wbc-caption/prompts/sentence.toml"
    long = sentence.read_text().replace("Plain text.", "Plain text. " + "Look at the nucleus once more. " * 2000)
    (folder / "long.toml").write_text(long)
    proxy.forwarded = 0
    config("overflow", prompt='prompt = "long.toml"')
    line("context overflow (the server's own)", "", caption("overflow", "overflow.jsonl"), proxy.forwarded, 1)
    wrong += [f"{file} holds the key" for file in folder.iterdir() if KEY.encode() in file.read_bytes()]
    print("\n".join(wrong) or "all as it must be")
    sys.exit(bool(wrong))


main()
