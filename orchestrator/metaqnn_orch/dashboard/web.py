"""The dashboard as an application of Starlette: its addresses, and what is answered there."""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Callable
from importlib.resources import files
from threading import Lock
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from metaqnn_orch.application.moment import now
from metaqnn_orch.dashboard import answers
from metaqnn_orch.dashboard.background import in_background
from metaqnn_orch.dashboard.files import file_of, files_of, picture_of
from metaqnn_orch.dashboard.guard import HEALTH, Guard
from metaqnn_orch.dashboard.reader import Fault, RunReader, Unreadable
from metaqnn_orch.dashboard.shelf import Shelf
from metaqnn_orch.errors import KNOWN, NotFound, StoreError, one_line
from metaqnn_orch.reporting.palette import DARK, LIGHT
from metaqnn_orch.reporting.render import svg
from metaqnn_orch.reporting.schemas import plain
from metaqnn_orch.reporting.vega import Spec
from metaqnn_orch.reporting.verdict import read_verdict

_JSON: Final = "application/json"
_SVG: Final = "image/svg+xml"
_DRAWINGS: Final = 60  # drawn figures that are kept
_WAIT: Final = 30.0  # seconds for which a browser waits for a file's beginning
_STATIC: Final = {
    "report.css": "text/css",
    "dashboard.css": "text/css",
    "icon.svg": _SVG,
    "marks.js": "text/javascript",
    "page.js": "text/javascript",
    "parts.js": "text/javascript",
    "table.js": "text/javascript",
    "run.js": "text/javascript",
    "trial.js": "text/javascript",
}


class Drawings:
    """Draws specifications, each once. It is safe to use from several threads; they draw one after another."""

    def __init__(self, draw: Callable[[Spec], str] = svg) -> None:
        self._draw = draw
        self._lock = Lock()
        self._kept: OrderedDict[str, bytes] = OrderedDict()

    def drawn(self, spec: Spec) -> bytes:
        text = json.dumps(spec, allow_nan=False)
        name = hashlib.sha256(text.encode()).hexdigest()
        with self._lock:
            found = self._kept.pop(name, None) or self._draw(spec).encode()
            self._kept[name] = found
            while len(self._kept) > _DRAWINGS:
                self._kept.popitem(last=False)
        return found


def application(shelf: Shelf, *, token: str, names: tuple[str, ...], any_address: bool) -> Starlette:
    """The application that shows the runs of a store; the arguments by name are the guard's."""
    site = _Site(shelf)
    run = "/api/runs/{run}"
    return Starlette(
        routes=[
            Route("/", site.page),
            Route("/runs/{run}", site.page),
            Route("/runs/{run}/trials/{trial}", site.page),
            Route("/runs/{run}/trials/{trial}/files/{name}", site.file),
            Route("/runs/{run}/trials/{trial}/pictures/{name}", site.picture),
            Route("/static/{name}", site.static),
            Route("/api/runs", site.runs),
            Route(run, site.run),
            Route(run + "/figures", site.figures),
            Route(run + "/figures/{name}", site.figure),
            Route(run + "/trials", site.trials),
            Route(run + "/trials/{trial}", site.trial),
            Route(run + "/trials/{trial}/drawing", site.drawing),
            Route(run + "/trials/{trial}/files", site.files),
            Route(run + "/beliefs", site.beliefs),
            Route(run + "/verdict", site.verdict),
            Route(HEALTH, lambda request: PlainTextResponse("the dashboard answers\n")),
        ],
        middleware=[
            Middleware(Guard, token=token, names=names, any_address=any_address),
            Middleware(GZipMiddleware, minimum_size=2000, compresslevel=5),
        ],
        exception_handlers=dict.fromkeys((*KNOWN, Unreadable, TimeoutError), _explain),
    )


class _Site:
    """What is answered at each address. The methods that wait are called in threads of the framework's."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._drawings = Drawings()
        environment = Environment(
            loader=PackageLoader("metaqnn_orch.dashboard"), autoescape=True, undefined=StrictUndefined
        )
        self._page = environment.get_template("page.html").render(store=shelf.store.uri)
        self._assets = {name: _asset(name) for name in _STATIC}

    def page(self, request: Request) -> Response:
        return _answer(request, self._page.encode(), "text/html")

    def static(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in self._assets:
            raise NotFound(f"there is no file {name!r}")
        return _answer(request, self._assets[name], _STATIC[name])

    def runs(self, request: Request) -> Response:
        return _json(request, {"store": self._shelf.store.uri, **self._shelf.runs()._asdict()})

    def run(self, request: Request) -> Response:
        return _json(request, answers.overview(self._reader(request), now()))

    def figures(self, request: Request) -> Response:
        return _json(request, answers.figure_list(self._reader(request)))

    def figure(self, request: Request) -> Response:
        spec = answers.figure_spec(self._reader(request), request.path_params["name"])
        return _answer(request, self._drawings.drawn(spec), _SVG)

    def trials(self, request: Request) -> Response:
        return _json(request, answers.trials(self._reader(request)))

    def trial(self, request: Request) -> Response:
        return _json(request, answers.trial(self._reader(request), request.path_params["trial"]))

    def drawing(self, request: Request) -> Response:
        spec = answers.drawing_spec(self._reader(request), request.path_params["trial"])
        return _answer(request, self._drawings.drawn(spec), _SVG)

    def beliefs(self, request: Request) -> Response:
        return _json(request, answers.beliefs(self._reader(request), request.query_params.get("after", "")))

    def files(self, request: Request) -> Response:
        run, trial = self._known_trial(request)
        return _json(request, in_background("files", lambda: files_of(self._shelf.store, run, trial)).result(_WAIT))

    def file(self, request: Request) -> Response:
        run, trial = self._known_trial(request)
        name = request.path_params["name"]
        data = in_background("file", lambda: file_of(self._shelf.store, run, trial, name)).result(_WAIT)
        return Response(
            data,
            media_type="application/octet-stream",
            headers={
                "Content-Disposition": f'attachment; filename="{trial}-{name}"',
                "Content-Security-Policy": "default-src 'none'; sandbox",
            },
        )

    def picture(self, request: Request) -> Response:
        run, trial = self._known_trial(request)
        name = request.path_params["name"]
        found = in_background("picture", lambda: picture_of(self._shelf.store, run, trial, name))
        return _answer(request, found.result(_WAIT), "image/png")

    def verdict(self, request: Request) -> Response:
        run = self._reader(request).run
        found = in_background("verdict", lambda: read_verdict(self._shelf.store, run)).result(_WAIT)
        return _json(request, None if found is None else found.model_dump(mode="json"))

    def _reader(self, request: Request) -> RunReader:
        reader = self._shelf.reader(request.path_params["run"])
        reader.look()
        return reader

    def _known_trial(self, request: Request) -> tuple[str, str]:
        """The run and the trial that a request names, if the run has it: keys are made of nothing else."""
        reader, trial = self._reader(request), request.path_params["trial"]
        answers.trial(reader, trial)
        return reader.run, trial


def _asset(name: str) -> bytes:
    """A file that the pages load; a style of the report is filled with its colours."""
    if name == "report.css":
        environment = Environment(loader=PackageLoader("metaqnn_orch.reporting"), autoescape=False)
        return environment.get_template(name).render(light=LIGHT._asdict(), dark=DARK._asdict()).encode()
    room = "metaqnn_orch.reporting" if name == "marks.js" else "metaqnn_orch.dashboard"
    return (files(room) / "templates" / name).read_bytes()


def _json(request: Request, value: Any) -> Response:
    return _answer(request, json.dumps(plain(value), allow_nan=False, separators=(",", ":")).encode(), _JSON)


def _answer(request: Request, data: bytes, kind: str) -> Response:
    """The data, or word that the browser has them already."""
    tag = f'W/"{hashlib.sha256(data).hexdigest()[:24]}"'
    if tag in (each.strip() for each in request.headers.get("If-None-Match", "").split(",")):
        return Response(status_code=304, headers={"ETag": tag})
    return Response(data, media_type=kind, headers={"ETag": tag})


def _explain(request: Request, error: Exception) -> Response:
    """The answer to a request that failed for a known reason."""
    match error:
        case Unreadable(fault=fault):
            pass
        case TimeoutError():
            fault = Fault("the store does not answer", "", transient=True)
        case _:
            hint, away = getattr(error, "hint", ""), isinstance(error, StoreError)
            fault = Fault(one_line(str(error), 1000), hint, away, isinstance(error, NotFound))
    status = 404 if fault.missing else 503 if fault.transient else 409 if isinstance(error, Unreadable) else 400
    return Response(json.dumps(fault._asdict()).encode(), status, media_type=_JSON)
