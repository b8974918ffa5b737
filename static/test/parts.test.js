import assert from "node:assert/strict";
import { test } from "node:test";
import { backoff } from "../src/client/backoff.js";
import { Dedupe } from "../src/client/dedupe.js";
import { SseParser } from "../src/client/sse-parser.js";

test("backoff doubles to its cap, the upper half of it random", () => {
  assert.deepEqual([0, 1, 2, 3].map((n) => backoff(n, () => 1)), [500, 1000, 2000, 4000]);
  assert.deepEqual([0, 1, 2, 3].map((n) => backoff(n, () => 0)), [250, 500, 1000, 2000]);
  assert.equal(backoff(1000, () => 1), 30_000);
});

test("the event-stream is the same however the network cuts it", () => {
  const text = ": hi\r\n\r\nid: 1\r\nevent: a\r\ndata: x\r\ndata: y\r\n\r\ndata:z\n\nid: 3\n\nretry: 5\n\ndata\n\n";
  const whole = [
    { event: "a", data: "x\ny", id: "1" },
    { event: "message", data: "z", id: null },
    { event: "message", data: null, id: "3" },
    { event: "message", data: "", id: null },
  ];
  for (let size = 1; size <= text.length; size++) {
    const parser = new SseParser();
    const events = [];
    for (let at = 0; at < text.length; at += size) events.push(...parser.push(text.slice(at, at + size)));
    assert.deepEqual(events, whole, `in chunks of ${size}`);
  }
});

test("old events of a job are told from new ones, by attempt first", () => {
  const dedupe = new Dedupe();
  const accepted = [[1, 1], [1, 3], [1, 2], [1, 3], [2, 1], [1, 9], [2, 2]].filter(([attempt, seq]) =>
    dedupe.accept({ job_id: "a", attempt, seq }),
  );
  assert.deepEqual(accepted, [[1, 1], [1, 3], [2, 1], [2, 2]]);
  assert.equal(dedupe.accept({ job_id: "b" }), true, "an event without a number cannot be judged");
});

test("only so many jobs are remembered", () => {
  const dedupe = new Dedupe(2);
  for (const job_id of ["a", "b", "c"]) dedupe.accept({ job_id, seq: 1 });
  assert.equal(dedupe.accept({ job_id: "a", seq: 1 }), true);
  assert.equal(dedupe.accept({ job_id: "c", seq: 1 }), false);
});
