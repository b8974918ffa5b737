"""A small conversion service in one process: as much of the contract as the client relies on, and faults on demand."""

import asyncio
import hashlib
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import orjson
from aiohttp import web
from aiohttp.test_utils import TestServer

NOW = "2026-11-24T23:00:00.000Z"
Fault = Callable[[web.Request], Awaitable[web.StreamResponse | None] | None]


def problem(status: int, detail: str, **more: Any) -> web.Response:
    body = {"type": "about:blank", "title": "?", "status": status, "detail": detail, **more}
    return web.Response(status=status, body=orjson.dumps(body), content_type="application/problem+json")


def job_fields(job_id: str, **fields: Any) -> dict[str, Any]:
    return {
        "job_id": job_id,
        "status": "QUEUED",
        "stage": None,
        "progress": {"percent": None, "fps": None, "speed": None, "eta_s": None},
        "filename": f"{job_id}.avi",
        "input_path": f"uploads/{job_id}.avi",
        "output_format": "mp4",
        "output_path": f"processed/{job_id}.mp4",
        "options": {},
        "attempt": 1,
        "seq": 1,
        "error": None,
        "warnings": [],
        "plan": None,
        "outputs": [],
        "created_at": NOW,
        "started_at": None,
        "finished_at": None,
        "updated_at": NOW,
        **fields,
    }


def cut(request: web.Request) -> None:
    """Break the connection, as a network does."""
    assert request.transport is not None
    request.transport.abort()


class FakeService:
    """Jobs move only when a test says so, by `event`."""

    def __init__(self) -> None:
        self.jobs: dict[str, dict[str, Any]] = {}
        self.log: list[dict[str, Any]] = []  # events; a cursor is how many of them were seen
        self.objects: dict[str, bytes] = {}
        self.uploads: dict[str, dict[int, bytes]] = {}
        self.keys: dict[str, str] = {}
        self.faults: dict[str, list[Fault]] = defaultdict(list)  # by "METHOD /path/template"
        self.seen: Counter[str] = Counter()
        self.requests: list[tuple[str, str, dict[str, str], Any]] = []
        self.api_key: str | None = None
        self.tickets: set[str] = set()
        self.blocked: set[str] = set()
        self.forgotten: set[str] = set()  # jobs that the push channel does not know
        self.idempotency: dict[str, dict[str, Any]] = {}
        self.asks: list[dict[str, Any]] = []
        self.subscriptions: list[dict[str, Any]] = []
        self.on_submit: Callable[[dict[str, Any]], None] = lambda _: None
        self._sockets: dict[web.WebSocketResponse, set[str]] = {}
        self._streams: dict[web.StreamResponse, tuple[set[str], Any]] = {}
        self.server = TestServer(self._app())

    @property
    def url(self) -> str:
        return str(self.server.make_url("")).rstrip("/")

    def _app(self) -> web.Application:
        app = web.Application(middlewares=[self._middleware], client_max_size=64 << 20)
        app.router.add_get("/api/formats", self.formats)
        app.router.add_get("/api/readyz", self.readyz)
        app.router.add_post("/api/s3/multipart", self.begin)
        app.router.add_get("/api/s3/multipart/{id}", self.parts)
        app.router.add_get("/api/s3/multipart/{id}/{n}", self.sign)
        app.router.add_post("/api/s3/multipart/{id}/complete", self.complete)
        app.router.add_delete("/api/s3/multipart/{id}", self.abort)
        app.router.add_put("/videos/{key:.+}", self.put_part)
        app.router.add_get("/videos/{key:.+}", self.get_object)
        app.router.add_post("/api/jobs", self.submit)
        app.router.add_post("/api/jobs/plan", self.plan)
        app.router.add_get("/api/jobs", self.get_list)
        app.router.add_get("/api/jobs/{id}", self.get)
        app.router.add_delete("/api/jobs/{id}", self.delete)
        app.router.add_post("/api/jobs/{id}/cancel", self.cancel)
        app.router.add_post("/api/jobs/{id}/retry", self.retry)
        app.router.add_get("/api/jobs/{id}/download", self.download)
        app.router.add_post("/api/ws/ticket", self.ticket)
        app.router.add_get("/api/dead-letters", self.dead_letters)
        app.router.add_get("/ws", self.ws)
        app.router.add_get("/events", self.events)
        app.on_shutdown.append(self._close_streams)
        return app

    async def _close_streams(self, _: web.Application) -> None:
        await self.drop()

    @web.middleware
    async def _middleware(self, request: web.Request, handler: Any) -> web.StreamResponse:
        resource = request.match_info.route.resource
        name = f"{request.method} {resource.canonical if resource else '?'}"
        self.seen[name] += 1
        body = await request.read() if request.path.startswith("/api") else b""
        self.requests.append((name, request.path_qs, dict(request.headers), orjson.loads(body) if body else None))
        if self.faults[name]:
            answer = self.faults[name].pop(0)(request)
            response = await answer if isinstance(answer, Awaitable) else answer
            if response is not None:
                return response
        is_api = request.path.startswith("/api") and not request.path.startswith("/api/readyz")
        if is_api and self.api_key and request.headers.get("Authorization") != f"Bearer {self.api_key}":
            return problem(401, "Send an API key.")
        return await handler(request)

    # --- jobs ---

    def make_job(self, job_id: str, **fields: Any) -> dict[str, Any]:
        self.jobs[job_id] = job_fields(job_id, **fields)
        return self.jobs[job_id]

    async def event(self, job_id: str, kind: str, **fields: Any) -> dict[str, Any]:
        """Something happens to a job: the row changes, and whoever watches is told."""
        job = self.jobs[job_id]
        status = {"queued": "QUEUED", "retrying": "QUEUED", "completed": "COMPLETED", "failed": "FAILED"}
        status |= {"started": "PROCESSING", "progress": "PROCESSING", "cancelled": "CANCELLED"}
        fields = {"status": status[kind], "attempt": job["attempt"], "seq": job["seq"] + 1, **fields}
        job |= {name: value for name, value in fields.items() if name in job}
        event = {"type": f"job.{kind}", "job_id": job_id, "tenant": "default", "time": NOW, **fields}
        event["cursor"] = str(len(self.log) + 1)
        self.log.append(event)
        for socket, interests in list(self._sockets.items()):
            if interests & {"*", job_id}:
                await socket.send_str(orjson.dumps(event).decode())
        for stream, (interests, _) in list(self._streams.items()):
            if interests & {"*", job_id}:
                await stream.write(b"id: %s\ndata: %s\n\n" % (event["cursor"].encode(), orjson.dumps(event)))
        return event

    async def progress(self, job_id: str, percent: float) -> None:
        fields = {"percent": percent, "fps": 25.0, "speed": 2.0, "eta_s": 3.0}
        await self.event(job_id, "progress", stage="transcoding", progress=fields)

    async def complete_job(self, job_id: str, output: bytes = b"the output") -> None:
        path = self.jobs[job_id]["output_path"]
        self.objects[path] = output
        outputs = [{"kind": "video", "path": path, "size": len(output), "content_type": "video/mp4"}]
        fields = {"percent": 100.0, "fps": None, "speed": None, "eta_s": None}
        await self.event(job_id, "completed", progress=fields, outputs=outputs, finished_at=NOW, stage=None)

    def _job(self, request: web.Request) -> dict[str, Any]:
        job = self.jobs.get(request.match_info["id"])
        if job is None:
            raise web.HTTPNotFound(text="{}")
        return job

    async def formats(self, _: web.Request) -> web.Response:
        mp4 = {"name": "mp4", "kind": "video", "extension": "mp4", "video_codecs": ["h264"], "audio_codecs": ["aac"]}
        mp3 = {"name": "mp3", "kind": "audio", "extension": "mp3", "video_codecs": [], "audio_codecs": ["mp3"]}
        return web.json_response({"formats": [mp4, mp3], "options": {}, "limits": {"max_upload_size": 64 << 20}})

    async def readyz(self, _: web.Request) -> web.Response:
        return web.json_response({"status": "not ready", "checks": {"database": "ok", "broker": "gone"}}, status=503)

    async def submit(self, request: web.Request) -> web.Response:
        wanted = await request.json()
        key = request.headers.get("Idempotency-Key")
        if key in self.idempotency:
            return web.json_response(self.idempotency[key], status=201)
        if wanted["output_format"] not in ("mp4", "mp3"):
            errors = [{"field": "output_format", "message": "Choose one of: mp4, mp3."}]
            return problem(422, "The request asks for what can't be.", errors=errors)
        if wanted["input_path"] not in self.objects:
            return problem(404, "There is no such upload.")
        job_id = f"job-{len(self.jobs) + 1}"
        about = {name: wanted[name] for name in ("input_path", "output_format", "options", "filename")}
        job = self.make_job(job_id, **about, output_path=f"processed/{job_id}.{wanted['output_format']}")
        if key:
            self.idempotency[key] = dict(job)
        self.on_submit(job)
        return web.json_response(job, status=201)

    async def plan(self, request: web.Request) -> web.Response:
        wanted = await request.json()
        stream = {"stream": 0, "type": "video", "codec": "mpeg4", "action": "encode", "target": "h264", "reason": "why"}
        plan = {"format": wanted["output_format"], "duration_s": 10.0, "streams": [stream], "notes": []}
        return web.json_response({"plan": plan, "warnings": [], "estimated_size": 1000, "estimated_s": 2.5})

    async def get_list(self, request: web.Request) -> web.Response:
        jobs = list(reversed(self.jobs.values()))
        if status := request.query.get("status"):
            jobs = [job for job in jobs if job["status"] == status]
        start, limit = int(request.query.get("cursor", 0)), int(request.query.get("limit", 50))
        more = str(start + limit) if len(jobs) > start + limit else None
        return web.json_response({"jobs": jobs[start : start + limit], "next_cursor": more})

    async def get(self, request: web.Request) -> web.Response:
        if request.match_info["id"] not in self.jobs:
            return problem(404, "There is no such job.")
        job = self._job(request)
        tag = f'"{job["attempt"]}.{job["seq"]}"'
        if request.headers.get("If-None-Match") == tag:
            return web.Response(status=304, headers={"ETag": tag})
        return web.json_response(job, headers={"ETag": tag})

    async def delete(self, request: web.Request) -> web.Response:
        if self.jobs.pop(request.match_info["id"], None) is None:
            return problem(404, "There is no such job.")
        return web.Response(status=204)

    async def cancel(self, request: web.Request) -> web.Response:
        job = self._job(request)
        if job["status"] not in ("QUEUED", "PROCESSING"):
            return problem(409, f"This job is {job['status']}.")
        await self.event(job["job_id"], "cancelled", finished_at=NOW, stage=None)
        return web.json_response(job, status=202)

    async def retry(self, request: web.Request) -> web.Response:
        job = self._job(request)
        if job["status"] not in ("FAILED", "CANCELLED"):
            return problem(409, f"This job is {job['status']}.")
        await self.event(job["job_id"], "queued", attempt=job["attempt"] + 1, error=None, finished_at=None)
        return web.json_response(job, status=202)

    async def download(self, request: web.Request) -> web.Response:
        job = self._job(request)
        if job["status"] != "COMPLETED":
            return problem(409, "There is nothing to download.")
        url = f"{self.url}/videos/{job['output_path']}?signature={self.seen['GET /api/jobs/{id}/download']}"
        size = len(self.objects[job["output_path"]])
        return web.json_response({"url": url, "filename": "holiday.mp4", "size": size, "expires_at": NOW})

    async def dead_letters(self, request: web.Request) -> web.Response:
        before = int(request.query.get("before", 6))
        limit = int(request.query["limit"])
        letters = [
            {"id": n, "job_id": f"job-{n}", "reason": "bad_message", "message": "?", "created_at": NOW}
            for n in range(before - 1, max(0, before - 1 - limit), -1)
        ]
        return web.json_response({"dead_letters": letters})

    # --- the store ---

    async def begin(self, request: web.Request) -> web.Response:
        wanted = await request.json()
        upload_id = f"up/{len(self.uploads) + 1}"
        self.uploads[upload_id] = {}
        self.keys[upload_id] = f"uploads/{len(self.keys) + 1}.{wanted['filename'].rpartition('.')[2]}"
        return web.json_response({"key": self.keys[upload_id], "uploadId": upload_id, "bucket": "videos"})

    def _upload(self, request: web.Request) -> dict[int, bytes] | None:
        upload_id = request.match_info["id"]
        parts = self.uploads.get(upload_id)
        return parts if parts is not None and self.keys[upload_id] == request.query["key"] else None

    async def parts(self, request: web.Request) -> web.Response:
        parts = self._upload(request)
        if parts is None:
            return problem(404, "There is no such upload.")
        return web.json_response(
            [{"PartNumber": n, "ETag": etag(data), "Size": len(data)} for n, data in parts.items()]
        )

    async def sign(self, request: web.Request) -> web.Response:
        if self._upload(request) is None:
            return problem(404, "There is no such upload.")
        n, upload_id = request.match_info["n"], request.match_info["id"]
        url = self.server.make_url(f"/videos/{request.query['key']}").with_query(uploadId=upload_id, partNumber=n)
        return web.json_response({"url": str(url), "expires": 60})

    async def put_part(self, request: web.Request) -> web.Response:
        assert "Authorization" not in request.headers, "the key is none of the store's business"
        data = await request.read()
        self.uploads[request.query["uploadId"]][int(request.query["partNumber"])] = data
        return web.Response(headers={"ETag": etag(data)})

    async def complete(self, request: web.Request) -> web.Response:
        parts = self._upload(request)
        if parts is None:
            return problem(404, "There is no such upload.")
        wanted = (await request.json())["parts"]
        assert [part["PartNumber"] for part in wanted] == list(range(1, len(wanted) + 1))
        assert all(part["ETag"] == etag(parts[part["PartNumber"]]) for part in wanted)
        key = request.query["key"]
        self.objects[key] = b"".join(data for _, data in sorted(parts.items()))
        del self.uploads[request.match_info["id"]]
        return web.json_response({"location": f"/videos/{key}", "key": key, "bucket": "videos"})

    async def abort(self, request: web.Request) -> web.Response:
        self.uploads.pop(request.match_info["id"], None)
        return web.json_response({})

    async def get_object(self, request: web.Request) -> web.StreamResponse:
        assert "Authorization" not in request.headers, "the key is none of the store's business"
        data = self.objects[request.match_info["key"]]
        start = int(request.headers.get("Range", "bytes=0-")[6:-1])
        headers = {"ETag": etag(data), "Content-Type": "video/mp4"}
        return web.Response(body=data[start:], status=206 if "Range" in request.headers else 200, headers=headers)

    # --- push ---

    async def ticket(self, _: web.Request) -> web.Response:
        self.tickets.add(ticket := f"ticket-{len(self.tickets) + 1}")
        return web.json_response({"ticket": ticket, "expires_at": NOW}, status=201)

    def _allowed(self, request: web.Request) -> bool:
        return not self.api_key or request.query.get("ticket") in self.tickets

    def subscribed(self, targets: list[str], after: str | None) -> list[dict[str, Any]]:
        self.subscriptions.append({"targets": targets, "after": after})
        shell = {"type": "subscribed", "job_id": targets[0] if len(targets) == 1 else None, "job_ids": targets}
        wanted = set(self.jobs) if "*" in targets else set(targets)
        if after is not None and after.isdigit() and int(after) <= len(self.log):
            missed = [event for event in self.log[int(after) :] if event["job_id"] in wanted]
            return [{**shell, "jobs": [], "cursor": after, "recovered": True}, *missed]
        jobs = [job for job_id, job in self.jobs.items() if job_id in wanted - self.forgotten]
        return [{**shell, "jobs": jobs, "cursor": str(len(self.log)), "recovered": False}]

    async def ws(self, request: web.Request) -> web.StreamResponse:
        if "ws" in self.blocked:
            return web.Response(status=502)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        if not self._allowed(request):
            await socket.close(code=4401, message=b"not allowed")
            return socket
        await socket.send_json({"type": "hello", "version": 1, "heartbeat_s": 20})
        self._sockets[socket] = set()
        async for message in socket:
            if message.type is not aiohttp.WSMsgType.TEXT:
                break
            ask = orjson.loads(message.data)
            if ask["type"] == "ping":
                await socket.send_json({"type": "pong", "cursor": str(len(self.log))})
            if ask["type"] == "subscribe":
                self.asks.append(ask)
                targets = [ask["job_id"]] if "job_id" in ask else ask["job_ids"]
                self._sockets[socket] |= set(targets)
                for frame in self.subscribed(targets, ask.get("after")):
                    await socket.send_json(frame)
        self._sockets.pop(socket, None)
        return socket

    async def events(self, request: web.Request) -> web.StreamResponse:
        if "sse" in self.blocked:
            return web.Response(status=502)
        if not self._allowed(request):
            return problem(401, "No.")
        stream = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await stream.prepare(request)
        targets = request.query.getall("job_id")
        self._streams[stream] = (set(targets), request.transport)
        for frame in self.subscribed(targets, request.headers.get("Last-Event-ID")):
            await stream.write(b"id: %s\ndata: %s\n\n" % (frame["cursor"].encode(), orjson.dumps(frame)))
        try:
            await asyncio.Event().wait()
        finally:
            self._streams.pop(stream, None)
        return stream

    async def drop(self, code: int = 1001) -> None:
        """Hang up on everybody."""
        for socket in list(self._sockets):
            self._sockets.pop(socket, None)
            await socket.close(code=code)
        for stream in list(self._streams):
            _, transport = self._streams.pop(stream)
            transport.abort()


def etag(data: bytes) -> str:
    return f'"{hashlib.md5(data).hexdigest()}"'
