/** Against a running ledger: TALLYSTICK_URL and TALLYSTICK_TOKEN say where, and as whom. */

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { test } from "node:test";

import { Client, ConnectionFailed, HoldResolved, InsufficientCredits, TallystickError } from "../index.js";

const { TALLYSTICK_URL: url, TALLYSTICK_TOKEN: token } = process.env;
const QUICK = { attempts: 4, totalMs: 20_000, firstMs: 5, maxMs: 20 };
const client = new Client({ url, token, retry: QUICK });
const somebody = () => `ts${crypto.randomUUID().replaceAll("-", "")}`;

async function funded(amount) {
  const user = somebody();
  await client.grant({ user, amount: String(amount), source: "promo" });
  return user;
}

async function balance(user) {
  const { settled, held } = await client.getState({ user });
  return [settled, held];
}

test("credits are granted and charged", async () => {
  const user = await funded(10);
  const charge = await client.charge({ user, amount: "4" });
  assert.equal(charge.available, "6");
  const { data } = await client.getTransactions({ user, type: "credits_charged", limit: 5 });
  assert.deepEqual(data.map((each) => each.amount), ["-4"]);
});

test("a refusal is a typed error and changes nothing", async () => {
  const user = await funded(3);
  await assert.rejects(client.charge({ user, amount: "4" }), (error) => {
    assert(error instanceof InsufficientCredits);
    assert.deepEqual([error.code, error.required, error.available], ["insufficient_credits", "4", "3"]);
    return true;
  });
  await assert.rejects(client.charge({ user, amount: 1.5 }), (error) => error instanceof TallystickError && error.status === 400);
  assert.deepEqual(await balance(user), ["3", "0"]);
});

test("a write under one key happens once", async () => {
  const user = await funded(10);
  const options = { idempotencyKey: `${user}-once` };
  const [one, other] = await Promise.all([1, 2].map(() => client.charge({ user, amount: "4" }, options)));
  assert.equal(one.id, other.id);
  assert.deepEqual(await balance(user), ["6", "0"]);
});

test("a hold is captured in part, and the rest is free again", async () => {
  const user = await funded(10);
  const words = await client.hold(user, "5", async (hold) => {
    assert.deepEqual(await balance(user), ["10", "5"]);
    await hold.capture("3");
    return "done";
  });
  assert.equal(words, "done");
  assert.deepEqual(await balance(user), ["7", "0"]);
});

test("work that throws costs nothing", async () => {
  const user = await funded(10);
  const work = async () => {
    throw new Error("failed");
  };
  await assert.rejects(client.hold(user, 5, work), /failed/);
  assert.deepEqual(await balance(user), ["10", "0"]);
});

test("a hold is disposed of, as `await using` does", async () => {
  const user = await funded(10);
  const hold = await client.hold(user, "5");
  await hold[Symbol.asyncDispose]();
  assert.deepEqual(await balance(user), ["10", "0"]);
  await assert.rejects(hold.capture(), HoldResolved);
  assert.equal(hold.lost, true);
});

test("a hold is extended while it is used", async () => {
  const user = await funded(10);
  await client.hold(user, "5", async (hold) => {
    const first = hold.state.expires_at;
    const deadline = Date.now() + 30_000;
    while (hold.state.expires_at === first && !hold.lost) {
      assert(Date.now() < deadline);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    assert.equal(hold.lost, false);
    await hold.capture();
  }, { ttl_s: 2 });
  assert.deepEqual(await balance(user), ["5", "0"]);
});

test("many at once never overspend", async () => {
  const user = await funded(10);
  const outcomes = await Promise.allSettled(Array.from({ length: 30 }, () => client.charge({ user, amount: "1" })));
  assert.equal(outcomes.filter((each) => each.status === "fulfilled").length, 10);
  assert.deepEqual(await balance(user), ["0", "0"]);
});

test("an account is followed", async () => {
  const user = await funded(10);
  const heard = [];
  for await (const state of client.changes({ user, signal: AbortSignal.timeout(60_000) })) {
    heard.push(state.settled);
    if (heard.length === 3) break;
    await client.charge({ user, amount: "1" });
  }
  assert.deepEqual(heard, ["10", "9", "8"]);
});

test("an answer that was lost is asked for again under the same key", async () => {
  const user = await funded(10);
  let lost = 1;
  const losing = async (...request) => {
    const answer = await fetch(...request);
    if (lost-- > 0) throw new TypeError("the answer was lost");
    return answer;
  };
  await new Client({ url, token, retry: QUICK, fetch: losing }).charge({ user, amount: "4" });
  assert.deepEqual(await balance(user), ["6", "0"]);
  lost = 100;
  await assert.rejects(
    new Client({ url, token, retry: QUICK, fetch: losing }).charge({ user, amount: "4" }, { idempotencyKey: "k" }),
    (error) => error instanceof ConnectionFailed && error.idempotencyKey === "k",
  );
});

test("a token is renewed when it has expired", async () => {
  const given = ["old", "new"];
  const seen = [];
  const server = createServer((request, answer) => {
    seen.push(request.headers.authorization);
    const fresh = request.headers.authorization === "Bearer new";
    answer.writeHead(fresh ? 200 : 401, { "Content-Type": "application/json" });
    answer.end(JSON.stringify(fresh ? { ok: true } : { code: "token_expired" }));
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const at = `http://127.0.0.1:${server.address().port}`;
  const answer = await new Client({ url: at, token: async () => given.shift() }).getState({ user: ".." });
  server.close();
  assert.deepEqual([answer, seen], [{ ok: true }, ["Bearer old", "Bearer new"]]);
});
