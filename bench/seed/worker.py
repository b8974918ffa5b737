"""The seed design's worker: one blocking consumer, one job at a time, the status written straight into SQLite.

Environment: AMQP_URL, S3_ENDPOINT, S3_ACCESS_KEY, S3_SECRET_KEY, ENCODING (ffmpeg's options), and DATABASE, a file
with a table `jobs(id, status, updated_at)`.
"""

import json
import os
import sqlite3
import subprocess
import tempfile
import time
from pathlib import Path

import pika
from minio import Minio

QUEUE = "seed-video-jobs"
ENCODING = os.environ.get("ENCODING", "-c:v libx264 -preset veryfast -crf 23 -c:a aac").split()

store = Minio(
    os.environ["S3_ENDPOINT"],
    access_key=os.environ["S3_ACCESS_KEY"],
    secret_key=os.environ["S3_SECRET_KEY"],
    secure=False,
    region="us-east-1",
)


def set_status(job_id, status):
    with sqlite3.connect(os.environ["DATABASE"], timeout=30) as database:
        database.execute("update jobs set status = ?, updated_at = ? where id = ?", (status, time.time(), job_id))


def convert(job):
    with tempfile.TemporaryDirectory() as directory:
        source = f"{directory}/in{Path(job['input_path']).suffix}"
        result = f"{directory}/out.{job['output_format']}"
        store.fget_object("videos", job["input_path"], source)
        subprocess.run(["ffmpeg", "-v", "error", "-nostdin", "-y", "-i", source, *ENCODING, result], check=True)
        store.fput_object("videos", job["output_path"], result)


def on_message(channel, method, _properties, body):
    job = json.loads(body)
    set_status(job["job_id"], "PROCESSING")
    try:
        convert(job)
    except (subprocess.CalledProcessError, OSError):
        set_status(job["job_id"], "FAILED")
    else:
        set_status(job["job_id"], "COMPLETED")
    channel.basic_ack(method.delivery_tag)


parameters = pika.URLParameters(os.environ["AMQP_URL"])
parameters.heartbeat = 600
consumer = pika.BlockingConnection(parameters).channel()
consumer.queue_declare(QUEUE, durable=True)
consumer.basic_qos(prefetch_count=1)
consumer.basic_consume(QUEUE, on_message)
consumer.start_consuming()
