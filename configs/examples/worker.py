"""A worker: it answers 202 at once, works, and posts the result to the callback URL of the task."""
import json, os, threading, time, urllib.error, urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

def work(task):
    time.sleep(1)  # your work
    return {"greeting": "Hello, " + task["name"]}

def run(url, body):
    try:
        status, result = "complete", work(json.loads(body))
    except Exception as error:
        status, result = "error", {"message": repr(error)}
    call = urllib.request.Request(url, json.dumps(result).encode(), {"Content-Type": "application/json", "X-Callback-Status": status})
    for pause in [1, 2, 4, 8, 16]:
        try:
            return urllib.request.urlopen(call, timeout=10).close()
        except OSError as error:  # nobody was there, or the status was none of 2xx
            if isinstance(error, urllib.error.HTTPError) and error.code < 500:
                return print("the gateway refuses the result:", error, flush=True)
            time.sleep(pause)

class Worker(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        known = self.headers["Authorization"] == "Bearer " + os.environ["WORKER_TOKEN"]
        self.send_response(202 if known else 401)
        self.send_header("Content-Length", "0")
        self.end_headers()
        if known:
            threading.Thread(target=run, args=(self.headers["X-Callback-Url"], body)).start()

port = int(os.environ.get("PORT", 9000))
server = ThreadingHTTPServer(("127.0.0.1", port), Worker)
print("the worker listens on port", port, flush=True)
server.serve_forever()
