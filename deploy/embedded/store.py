"""The embedded object store: rclone's S3 server over a plain directory, each subdirectory a bucket."""

import os
import shutil
import sys
from pathlib import Path

from deploy.embedded.credentials import Credentials
from deploy.embedded.settings import LOOPBACK, EmbeddedSettings
from deploy.embedded.spec import HttpProbe, ProcessSpec

BUCKET = "videos"
REGION = "us-east-1"
_ANY_ANSWER = 500  # Unsigned, "/" is refused with a 403: that is an answer too.


def store_spec(settings: EmbeddedSettings, credentials: Credentials) -> ProcessSpec:
    beside_python = Path(sys.executable).with_name("rclone")
    layout = settings.layout
    return ProcessSpec(
        name="s3",
        argv=(
            str(beside_python) if beside_python.exists() else shutil.which("rclone") or "rclone",
            "serve",
            "s3",
            "--addr",
            f"{LOOPBACK}:{settings.s3_port}",
            # The hash would be found by reading the whole object, at its first listing, question or byte.
            "--etag-hash",
            "",
            # Or each object would be read a second time after it was written, and again after it was read, to compare
            # what this program itself has just seen. Its length is compared all the same.
            "--ignore-checksum",
            "--no-checksum",
            str(layout.objects),
        ),
        env={
            "PATH": os.defpath,
            "HOME": str(layout.data_dir),
            "RCLONE_CONFIG": "",
            # CSV inside an environment variable; on the command line every user could read it.
            "RCLONE_AUTH_KEY": f'"{credentials.s3_access_key},{credentials.s3_secret_key}"',
        },
        cwd=layout.data_dir,
        log=layout.log("s3"),
        ready=HttpProbe(LOOPBACK, settings.s3_port, path="/", status_below=_ANY_ANSWER),
        stop_stage=2,
        stop_grace_s=5.0,
    )
