import assert from "node:assert/strict";
import { test } from "node:test";
import { connect } from "../src/client/index.js";
import { fakeBrowser, settle } from "./fakes.js";

const ORIGIN = "https://videos.test";

function follow(options = {}, browser = fakeBrowser()) {
  const events = [];
  const snapshots = [];
  const states = [];
  const feed = connect({
    url: ORIGIN,
    onEvent: (event) => events.push(event),
    onSnapshot: (snapshot) => snapshots.push(snapshot),
    onState: ({ status, transport }) => {
      const words = transport ? `${status} ${transport}` : status;
      if (words !== states.at(-1)) states.push(words);
    },
    env: browser.env,
    ...options,
  });
  return { feed, browser, events, snapshots, states };
}

/** Follows all jobs over a socket that is up, at cursor 100. */
async function live(options = {}) {
  const all = follow(options);
  await settle();
  all.browser.socket.accept();
  all.browser.socket.say({ type: "hello" });
  all.browser.socket.say({ type: "subscribed", job_id: "*", jobs: [], cursor: "100", recovered: false });
  return all;
}

const event = (seq, more = {}) => ({ type: "job.progress", job_id: "a", attempt: 1, seq, cursor: `${100 + seq}`, ...more });

test("subscribes, and hands on the snapshot and then the events", async () => {
  const { browser, events, snapshots, states, feed } = await live();
  assert.equal(browser.socket.url.href, "wss://videos.test/ws");
  assert.deepEqual(browser.socket.sent, [{ type: "subscribe", job_id: "*" }]);
  browser.socket.say(event(1));
  assert.deepEqual(snapshots, [{ jobs: [], recovered: false, transport: "websocket" }]);
  assert.deepEqual(events.map(({ seq }) => seq), [1]);
  assert.deepEqual(states, ["live websocket"]);
  assert.equal(feed.cursor, "101");
});

test("a list of jobs, and only how they end", async () => {
  const { browser } = await live({ jobs: ["a", "b"], only: "terminal" });
  assert.deepEqual(browser.socket.sent, [{ type: "subscribe", job_ids: ["a", "b"], only: "terminal" }]);
});

test("goes on from its cursor after a cut, and gives nothing twice or out of order", async () => {
  const { browser, events, states } = await live();
  browser.socket.say(event(1));
  browser.socket.say(event(2));
  browser.socket.end(1006);
  await browser.clock.pass(1_000);
  assert.equal(browser.sockets.length, 2);
  browser.socket.accept();
  assert.deepEqual(browser.socket.sent[0], { type: "subscribe", job_id: "*", after: "102" });
  // The snapshot is newer than the events that follow it; they are news to the reader all the same.
  browser.socket.say({ type: "subscribed", jobs: [{ job_id: "a", attempt: 1, seq: 4 }], recovered: true, cursor: "102" });
  for (const seq of [2, 3, 1, 4]) browser.socket.say(event(seq));
  assert.deepEqual(events.map(({ seq }) => seq), [1, 2, 3, 4]);
  assert.deepEqual(states, ["live websocket", "reconnecting", "live websocket"]);
});

test("a snapshot that could not recover outdates late events", async () => {
  const { browser, events } = await live();
  browser.socket.say({ type: "subscribed", jobs: [{ job_id: "a", attempt: 2, seq: 9 }], recovered: false, cursor: "200" });
  browser.socket.say(event(30, { attempt: 1 }));
  browser.socket.say(event(9, { attempt: 2 }));
  browser.socket.say(event(10, { attempt: 2 }));
  assert.deepEqual(events.map(({ seq }) => seq), [10]);
});

test("a peer that falls silent is asked once and then left", async () => {
  const { browser } = await live();
  await browser.clock.pass(20_000);
  assert.deepEqual(browser.socket.sent.at(-1), { type: "ping" });
  browser.socket.say({ type: "pong" });
  await browser.clock.pass(20_000);
  assert.equal(browser.sockets.length, 1);
  await browser.clock.pass(12_000);
  assert.equal(browser.sockets[0].closedWith, 1000);
  assert.equal(browser.sockets.length, 2);
});

test("after a sleep the peer has seconds to answer", async () => {
  const { browser } = await live();
  browser.wake();
  assert.deepEqual(browser.socket.sent.at(-1), { type: "ping" });
  await browser.clock.pass(6_000);
  assert.equal(browser.sockets.length, 2);
});

test("coming online ends the wait", async () => {
  const { browser, feed, states } = await live();
  browser.online = false;
  browser.socket.end(1006);
  assert.equal(feed.state.status, "offline");
  assert.ok(feed.state.retryAt > browser.clock.time);
  browser.online = true;
  browser.wake();
  await settle();
  assert.equal(browser.sockets.length, 2);
  assert.deepEqual(states, ["live websocket", "offline", "reconnecting"]);
});

test("where sockets are blocked, it is Server-Sent Events, with the same cursor", async () => {
  const { browser, events, states, feed } = follow({ after: "7" });
  await settle();
  browser.socket.end(1006);
  await browser.clock.pass(1_000);
  browser.socket.end(1006);
  await settle();
  const request = browser.request("/events");
  assert.equal(request.url.search, "?job_id=*");
  assert.equal(request.init.headers["Last-Event-ID"], "7");
  const stream = request.stream();
  stream.write(': keep\n\nevent: subscribed\nid: 8\ndata: {"type":"subscribed","jobs":[],"recovered":true}\n\n');
  stream.write('id: 9\nevent: job.progress\nda');
  await settle();
  stream.write('ta: {"job_id":"a","seq":3}\n\n');
  await settle();
  assert.deepEqual(events, [{ type: "job.progress", job_id: "a", seq: 3, cursor: "9" }]);
  stream.write(": beat\nid: 12\n\n");
  await settle();
  assert.equal(feed.cursor, "12", "a heartbeat moves the place reached on");
  assert.deepEqual(states, ["connecting", "live sse"]);
});

/** Everything but polling is refused. */
async function polled(options) {
  const all = follow(options);
  for (let turn = 0; turn < 20 && all.browser.count("/api/jobs") === 0; turn++) {
    await all.browser.clock.pass(200);
    if (all.browser.socket?.readyState === 0) all.browser.socket.end(1006);
    all.browser.request("/events")?.json({}, 502);
    await settle();
  }
  return all;
}

test("where both are blocked, it polls, no slower than the contract says", async () => {
  const { browser, snapshots, states } = await polled();
  browser.request("/api/jobs").json({ jobs: [{ job_id: "a", seq: 1 }] });
  await settle();
  assert.deepEqual(states, ["connecting", "live polling"]);
  assert.deepEqual(snapshots, [{ jobs: [{ job_id: "a", seq: 1 }], recovered: false, transport: "polling" }]);
  await browser.clock.pass(2_000);
  assert.equal(browser.count("/api/jobs"), 2);
});

test("from polling it climbs back to the socket when that works", async () => {
  const { browser, states } = await polled();
  browser.request("/api/jobs").json({ jobs: [] });
  await browser.clock.pass(1_000);
  const sockets = browser.sockets.length;
  for (let turn = 0; turn < 300 && browser.sockets.length === sockets; turn++) {
    browser.request("/api/jobs").json({ jobs: [] });
    await browser.clock.pass(1_000);
  }
  browser.socket.accept();
  assert.deepEqual(states, ["connecting", "live polling"], "polling goes on until the socket is really up");
  browser.socket.say({ type: "subscribed", jobs: [], recovered: false });
  assert.deepEqual(states, ["connecting", "live polling", "live websocket"]);
  const asked = browser.count("/api/jobs");
  await browser.clock.pass(5_000);
  assert.equal(browser.count("/api/jobs"), asked);
});

test("a ticket is fetched anew for each attempt, and goes in the query", async () => {
  let number = 0;
  const { browser } = follow({ ticket: async () => `t${++number}` });
  await settle();
  assert.equal(browser.socket.url.search, "?ticket=t1");
  browser.socket.end(1006);
  await browser.clock.pass(1_000);
  assert.equal(browser.socket.url.search, "?ticket=t2");
});

test("4401 takes one new ticket, and then gives up", async () => {
  let number = 0;
  const { browser, states } = follow({ ticket: async () => `t${++number}` });
  await settle();
  browser.socket.end(4401);
  await settle();
  assert.equal(browser.sockets.length, 2);
  browser.socket.end(4401);
  await browser.clock.pass(120_000);
  assert.equal(browser.sockets.length, 2);
  assert.equal(states.at(-1), "unauthorized");
});

test("4403 bars the socket and leaves the others", async () => {
  const { browser } = follow();
  await settle();
  browser.socket.end(4403);
  await settle();
  assert.equal(browser.count("/events"), 1);
  assert.equal(browser.sockets.length, 1);
});

test("1013 is a plea for time", async () => {
  const { browser } = await live();
  browser.socket.end(1013);
  await browser.clock.pass(2_000);
  assert.equal(browser.sockets.length, 1);
  await browser.clock.pass(2_000);
  assert.equal(browser.sockets.length, 2);
});

test("1001 comes back after the time the server asked for", async () => {
  const { browser } = await live();
  browser.socket.say({ type: "goodbye", reason: "shutting down", retry_after_s: 4 });
  browser.socket.end(1001);
  await browser.clock.pass(3_900);
  assert.equal(browser.sockets.length, 1);
  await browser.clock.pass(2_500);
  assert.equal(browser.sockets.length, 2);
});

test("a server that accepts and drops at once is asked ever more seldom", async () => {
  const { browser } = await live();
  const gaps = [];
  for (let turn = 0; turn < 6; turn++) {
    const [count, since] = [browser.sockets.length, browser.clock.time];
    browser.socket.end(1006);
    while (browser.sockets.length === count) await browser.clock.pass(50);
    gaps.push(browser.clock.time - since);
    browser.socket.accept();
    browser.socket.say({ type: "subscribed", jobs: [] });
  }
  assert.ok(gaps.every((gap, index) => index === 0 || gap > gaps[index - 1]), `${gaps}`);
});

test("close() stops everything", async () => {
  const { browser, feed, states } = await live();
  feed.close();
  await browser.clock.pass(600_000);
  assert.equal(browser.sockets.length, 1);
  assert.equal(browser.socket.closedWith, 1000);
  assert.equal(states.at(-1), "closed");
});

test("what is not JSON, and an unknown frame, change nothing; a complaint is handed on", async () => {
  const complaints = [];
  const { browser, events } = await live({ onError: (error) => complaints.push(error) });
  browser.socket.onmessage({ data: "{" });
  browser.socket.say({ type: "something.new" });
  browser.socket.say({ type: "error", code: "bad_message", message: "Not understood" });
  assert.deepEqual(events, []);
  assert.deepEqual(complaints, [{ code: "bad_message", message: "Not understood" }]);
});
