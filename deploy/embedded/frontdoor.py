"""nginx: its configuration, made from the template that other deployments use too, and its process."""

import os
import re
import shutil
import signal
from collections.abc import Mapping

from deploy.embedded.layout import CHECKOUT
from deploy.embedded.settings import LOOPBACK, EmbeddedSettings
from deploy.embedded.spec import FileSpec, HttpProbe, ProcessSpec
from deploy.embedded.store import BUCKET

TEMPLATE = CHECKOUT / "deploy" / "nginx" / "site.conf.template"
_VARIABLE = re.compile(r"\$\{([A-Z][A-Z0-9_]*)\}")
_ANY_ANSWER = 500
_REACHED_AT = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared with, not bound to

# All paths are relative to nginx's prefix, and the page is a link in there: nothing has to be quoted.
_MAIN = """\
{user}daemon off;
worker_processes {workers};
worker_rlimit_nofile {open_files};
worker_shutdown_timeout 3s;
pid tmp/nginx.pid;
error_log stderr alert;
events {{ worker_connections {connections}; }}
http {{
    types {{
        text/html html;
        text/css css;
        text/javascript js mjs;
        application/json json map;
        application/manifest+json webmanifest;
        image/svg+xml svg;
        image/png png;
        image/x-icon ico;
        image/webp webp;
        font/woff2 woff2;
        text/plain txt;
    }}
    default_type application/octet-stream;
    charset utf-8;
    sendfile on;
    tcp_nopush on;
    keepalive_timeout 65s;
    client_body_temp_path tmp/body;
    proxy_temp_path tmp/proxy;
    fastcgi_temp_path tmp/fastcgi;
    uwsgi_temp_path tmp/uwsgi;
    scgi_temp_path tmp/scgi;
    include site.conf;
}}
"""

# rclone answers a range with the right part and the wrong status, 200. nginx can mend that, but only by reading the
# whole object for each part of it, and a player that seeks in a large film asks for many. So the store is only asked
# whether the signature is good, and what is good is then read from its directory. Whatever isn't a clear yes, or isn't
# found there, is left to the store to answer.
_OBJECTS_READ = """\
error_page 418 = @objects;
if ($request_method = GET) { return 418; }
"""
_OBJECTS_SITE = """\
recursive_error_pages on;
location @objects {
    auth_request /.signature;
    auth_request_set $object_disposition $upstream_http_content_disposition;
    error_page 401 403 500 = @store;
    root store;
    try_files $uri @store;
    types {
        video/mp4 mp4 m4v;
        video/webm webm;
        video/x-matroska mkv;
        video/quicktime mov;
        audio/mpeg mp3;
        audio/mp4 m4a;
        audio/ogg ogg opus;
        audio/flac flac;
        audio/wav wav;
        image/gif gif;
        image/jpeg jpg jpeg;
        image/png png;
        image/webp webp;
        text/vtt vtt;
    }
    add_header Content-Disposition $object_disposition;
    add_header Content-Security-Policy "default-src 'none'; img-src 'self'; media-src 'self'; sandbox" always;
    add_header X-Content-Type-Options nosniff always;
}
location = /.signature {
    internal;
    proxy_pass http://store$request_uri;
    proxy_pass_request_body off;
    proxy_set_header Host $http_host;
    proxy_set_header Range "bytes=0-0";
    proxy_set_header If-None-Match "";
    proxy_set_header If-Modified-Since "";
    proxy_set_header If-Range "";
}
location @store {
    proxy_pass http://store;
    proxy_buffering off;
    proxy_force_ranges on;
    error_page 502 504 = @unavailable;
}
"""


def fill_in(template: str, values: Mapping[str, str]) -> str:
    """Replace `${NAME}`, as envsubst does.

    Raises:
        KeyError: the template names a variable that has no value.
    """
    return _VARIABLE.sub(lambda match: values[match[1]], template)


def front_door_files(
    settings: EmbeddedSettings, template: str, *, as_root: bool, open_files: int
) -> tuple[FileSpec, ...]:
    """The main file and the site.

    Args:
        settings: of this copy.
        template: the text of `TEMPLATE`.
        as_root: whether nginx will start as root; its workers then stay root, to read the user's files.
        open_files: how many files a process may have open.
    """
    host = f"[{settings.bind}]" if ":" in settings.bind else settings.bind
    site = fill_in(
        template,
        {
            "HTTP_LISTEN": f"{host}:{settings.http_port}",
            "GATEWAY_UPSTREAM": f"{LOOPBACK}:{settings.gateway_port}",
            "NOTIFIER_UPSTREAM": f"{LOOPBACK}:{settings.notifier_port}",
            "STORE_UPSTREAM": f"{LOOPBACK}:{settings.s3_port}",
            "STORE_RANGE": '""',
            "STORE_ORIGIN": settings.s3_public_endpoint or "",
            "S3_BUCKET": BUCKET,
            "PAGE_ROOT": settings.layout.page.name,
        },
    )
    main = _MAIN.format(
        user="user root;\n" if as_root else "",
        workers=2,
        open_files=open_files,
        connections=open_files // 2,
    )
    return (
        FileSpec(settings.layout.nginx / "nginx.conf", main),
        FileSpec(settings.layout.nginx / "site.conf", site),
        FileSpec(settings.layout.nginx / "objects_read.conf", _OBJECTS_READ),
        FileSpec(settings.layout.nginx / "objects_site.conf", _OBJECTS_SITE),
    )


def front_door_spec(settings: EmbeddedSettings) -> ProcessSpec:
    layout = settings.layout
    reached_at = _REACHED_AT.get(settings.bind, settings.bind)
    return ProcessSpec(
        name="nginx",
        # By its working directory, as a `$` in a prefix is the name of a variable to nginx.
        # Debian keeps it in /usr/sbin, which is not on every user's PATH.
        argv=(
            shutil.which("nginx", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin") or "nginx",
            *("-p", "./", "-c", "nginx.conf", "-e", "stderr"),
        ),
        env={"PATH": os.defpath},
        cwd=layout.nginx,
        log=layout.log("nginx"),
        ready=HttpProbe(reached_at, settings.http_port, path="/", status_below=_ANY_ANSWER),
        after=("gateway", "notifier"),
        # QUIT lets connections end by themselves: browsers still get the notifier's goodbye.
        stop_signal=signal.SIGQUIT,
        stop_stage=0,
        stop_grace_s=8.0,
    )
