"""The seed design's API: a row and a publish in every request, on the connection that is at hand.

Environment: AMQP_URL, and DATABASE, the SQLite file it makes its table in.
"""

import json
import os
import sqlite3
import time
import uuid
from contextlib import asynccontextmanager

import aio_pika
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel

QUEUE = "seed-video-jobs"

database = sqlite3.connect(os.environ["DATABASE"], check_same_thread=False)
database.execute(
    "CREATE TABLE IF NOT EXISTS jobs (id TEXT PRIMARY KEY, status TEXT, input_path TEXT, output_format TEXT,"
    " output_path TEXT, created_at REAL, updated_at REAL)"
)
database.commit()


class NewJob(BaseModel):
    input_path: str
    output_format: str = "mp4"


@asynccontextmanager
async def lifespan(app):
    connection = await aio_pika.connect_robust(os.environ["AMQP_URL"])
    app.state.channel = await connection.channel()
    await app.state.channel.declare_queue(QUEUE, durable=True)
    yield
    await connection.close()


app = FastAPI(lifespan=lifespan)


@app.post("/jobs", status_code=201)
async def create(job: NewJob):
    job_id, now = str(uuid.uuid4()), time.time()
    output_path = f"processed/{job_id}.{job.output_format}"
    row = (job_id, "QUEUED", job.input_path, job.output_format, output_path, now, now)
    database.execute("INSERT INTO jobs VALUES (?, ?, ?, ?, ?, ?, ?)", row)
    database.commit()
    message = {
        "job_id": job_id,
        "input_path": job.input_path,
        "output_format": job.output_format,
        "output_path": output_path,
    }
    await app.state.channel.default_exchange.publish(
        aio_pika.Message(json.dumps(message).encode(), delivery_mode=aio_pika.DeliveryMode.PERSISTENT), QUEUE
    )
    return {"job_id": job_id, "status": "QUEUED"}


@app.get("/jobs/{job_id}")
async def get(job_id: str):
    row = database.execute("SELECT id, status, output_path FROM jobs WHERE id = ?", (job_id,)).fetchone()
    if row is None:
        raise HTTPException(404)
    return {"job_id": row[0], "status": row[1], "output_path": row[2]}
