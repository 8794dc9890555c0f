"""A worker that says how far it is, and stops when its task is cancelled."""
import json, os, threading, time, urllib.request, uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

cancelled = {}  # by the id of a task that is worked on

def report(url, state, **members):
    call = urllib.request.Request(url, json.dumps({"state": state, **members}).encode(), {"Content-Type": "application/json"})
    for pause in [1, 2, 4, 8, 16]:
        try:
            return urllib.request.urlopen(call, timeout=10).close()
        except OSError as error:  # nobody was there, or the status was none of 2xx
            if getattr(error, "code", 503) < 500:
                return print("the gateway refuses a report:", error, flush=True)
            time.sleep(pause)

def work(task, url, pages):
    report(url, "begun")
    for page in range(1, pages + 1):
        if cancelled[task].wait(0.5):  # your work
            print("stopped at page", page, flush=True)
            break
        report(url, "busy", page=page, percent=100 * page // pages)
    else:
        report(url, "done", report={"pages": pages})
    del cancelled[task]

class Worker(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        if not self.known():
            return self.answer(401, {})
        task, pages = uuid.uuid4().hex, json.loads(body)["pages"]
        cancelled[task] = threading.Event()
        self.answer(202, {"id": task})
        threading.Thread(target=work, args=(task, self.headers["X-Callback-Url"], pages)).start()

    def do_DELETE(self):
        if not self.known():
            return self.answer(401, {})
        if task := cancelled.get(self.path.strip("/")):
            task.set()
        self.answer(200, {})

    def known(self):
        return self.headers["Authorization"] == "Bearer " + os.environ["WORKER_TOKEN"]

    def answer(self, status, members):
        text = json.dumps(members).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

port = int(os.environ.get("PORT", 9000))
server = ThreadingHTTPServer(("127.0.0.1", port), Worker)
print("the worker listens on port", port, flush=True)
server.serve_forever()
