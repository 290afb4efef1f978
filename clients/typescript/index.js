/** The client of Tallystick for Node and browsers: `fetch`, no dependencies. Its types are in index.d.ts. */

import { OPERATIONS } from "./generated.js";

const RETRIED = new Set([429, 502, 503, 504]);
const RETRY = { attempts: 6, totalMs: 30_000, firstMs: 100, maxMs: 5_000 };
const TIMEOUT_MS = 10_000;
const SILENCE_MS = 60_000;

/** What the ledger refused, or why it could not be asked: `code` is stable, `problem` the whole document (RFC 9457). */
export class TallystickError extends Error {
  constructor(message, { status, code = "", problem = {}, idempotencyKey, retryAfterMs = 0, cause } = {}) {
    super(message, { cause });
    this.name = new.target.name;
    Object.assign(this, { status, code, problem, idempotencyKey, retryAfterMs });
  }
}

/** 402: too few credits; nothing was changed. */
export class InsufficientCredits extends TallystickError {
  get required() {
    return this.problem.required;
  }
  get available() {
    return this.problem.available;
  }
  get topUpUrl() {
    return this.problem.top_up_url ?? null;
  }
}

/** 409: the hold had ended before; `problem.hold` says how. */
export class HoldResolved extends TallystickError {}

/** 409: a hard budget is used up; `problem.budget` names it. */
export class BudgetExceeded extends TallystickError {}

/** No answer came, still so after all retries. A write may have happened: repeat it under `idempotencyKey`. */
export class ConnectionFailed extends TallystickError {}

const BY_CODE = { hold_resolved: HoldResolved, budget_exceeded: BudgetExceeded };

export class Client {
  #url;
  #source;
  #token;
  #app;
  #retry;
  #timeoutMs;
  #fetch;

  constructor({ url = "http://127.0.0.1:8001", token, app, retry, timeoutMs = TIMEOUT_MS, fetch = globalThis.fetch } = {}) {
    this.#url = url.replace(/\/+$/, "");
    this.#source = token;
    this.#app = app;
    this.#retry = { ...RETRY, ...retry };
    this.#timeoutMs = timeoutMs;
    this.#fetch = fetch;
  }

  /**
   * Hold credits. With `work` they are held while it runs and released after it, unless it captured them; without, the
   * hold is returned, for `await using` or to be released by hand. `cost` is an amount, or `{ price, quantity }`,
   * `{ model, usage }`, `{ quote }`.
   */
  async hold(user, cost, work, options = {}) {
    if (typeof work === "object") [work, options] = [undefined, work];
    const { idempotencyKey, ...fields } = options;
    const held = typeof cost === "object" ? cost : { amount: String(cost) };
    const made = await this.createHold({ user, ...held, ...fields }, { idempotencyKey });
    const hold = new Hold(this, made, fields.ttl_s);
    if (work === undefined) return hold;
    try {
      return await work(hold);
    } finally {
      await hold.close();
    }
  }

  /**
   * An account's state now and after every change, for as long as one iterates. `after` is the `account_version` that
   * was seen last; a broken connection is taken up where it broke. Throws what cannot succeed, and ConnectionFailed
   * when nothing was heard for `patienceMs`.
   */
  async *changes({ user, asset, after, patienceMs = 300_000, signal }) {
    let [attempt, heardAt, last] = [0, Date.now(), after === undefined ? undefined : String(after)];
    const url = this.#target("/v1/accounts/{user}/stream", { user, asset }, ["asset"]).url;
    for (;;) {
      let error = new ConnectionFailed("the stream ended");
      const silence = new AbortController();
      let timer;
      const awaited = () => {
        clearTimeout(timer);
        timer = setTimeout(() => silence.abort(), SILENCE_MS);
      };
      try {
        awaited();
        const headers = { ...(await this.#headers()), Accept: "text/event-stream" };
        if (last !== undefined) headers["Last-Event-ID"] = last;
        const answer = await this.#fetch(url, { headers, signal: AbortSignal.any([silence.signal, ...(signal ? [signal] : [])]) });
        if (!answer.ok) throw await refusal(answer);
        for await (const event of events(answer.body, awaited)) {
          if (event.id !== undefined) last = event.id;
          if (event.event !== "account") continue;
          [attempt, heardAt] = [0, Date.now()];
          yield JSON.parse(event.data);
        }
      } catch (failed) {
        signal?.throwIfAborted();
        error = failed instanceof TallystickError ? failed : new ConnectionFailed(String(failed), { cause: failed });
      } finally {
        clearTimeout(timer);
        silence.abort();
      }
      const renewed = attempt === 0 && (await this.#renewed(error));
      if (!renewed && error.status !== undefined && !RETRIED.has(error.status)) throw error;
      const pauseMs = renewed ? 0 : this.#pauseMs(++attempt, error);
      if (Date.now() + pauseMs - heardAt > patienceMs) throw error;
      await sleep(pauseMs);
    }
  }

  /** Send an operation of the table; its methods call this. */
  async call(operation, params = {}, { idempotencyKey, signal } = {}) {
    const [method, path, query] = OPERATIONS[operation];
    const { url, rest } = this.#target(path, params, query);
    const key = method === "GET" ? undefined : (idempotencyKey ?? crypto.randomUUID());
    const body = method === "GET" ? undefined : JSON.stringify(rest);
    const deadline = Date.now() + this.#retry.totalMs;
    let renewed = false;
    for (let attempt = 1; ; attempt++) {
      let error;
      try {
        const headers = await this.#headers();
        if (key !== undefined) Object.assign(headers, { "Idempotency-Key": key, "Content-Type": "application/json" });
        const limit = AbortSignal.timeout(Math.max(1, Math.min(this.#timeoutMs, deadline - Date.now())));
        const answer = await this.#fetch(url, { method, headers, body, signal: AbortSignal.any([limit, ...(signal ? [signal] : [])]) });
        if (answer.ok) return await answer.json();
        error = await refusal(answer, key);
      } catch (failed) {
        signal?.throwIfAborted();
        error = new ConnectionFailed(String(failed), { idempotencyKey: key, cause: failed });
      }
      if (!renewed && (renewed = await this.#renewed(error))) continue;
      const pauseMs = this.#pauseMs(attempt, error);
      const hopeless = error.status !== undefined && !RETRIED.has(error.status);
      if (hopeless || attempt >= this.#retry.attempts || Date.now() + pauseMs >= deadline) throw error;
      await sleep(pauseMs);
    }
  }

  #target(path, params, query) {
    const rest = { ...params };
    const filled = path.replace(/\{(\w+)\}/g, (_, name) => {
      const value = String(rest[name] ?? "");
      if (!value) throw new TypeError(`${name} is missing`);
      delete rest[name];
      // A bare `..` is a legal user id, and would climb out of its route.
      return encodeURIComponent(value).replaceAll(".", "%2E");
    });
    const search = new URLSearchParams();
    for (const name of query) {
      if (rest[name] !== undefined && rest[name] !== null) search.set(name, String(rest[name]));
      delete rest[name];
    }
    return { url: this.#url + filled + (search.size ? `?${search}` : ""), rest };
  }

  async #headers() {
    this.#token ??= typeof this.#source === "function" ? await this.#source() : this.#source;
    const headers = { Accept: "application/json" };
    if (this.#token !== undefined) headers.Authorization = `Bearer ${this.#token}`;
    if (this.#app !== undefined) headers["Tallystick-App"] = this.#app;
    return headers;
  }

  /** Whether the token had expired, and another is at hand. */
  async #renewed(error) {
    if (error.code !== "token_expired" || typeof this.#source !== "function") return false;
    this.#token = await this.#source();
    return true;
  }

  #pauseMs(attempt, error) {
    const { firstMs, maxMs } = this.#retry;
    return Math.max(Math.random() * Math.min(maxMs, firstMs * 2 ** (attempt - 1)), error.retryAfterMs);
  }
}

for (const operation of Object.keys(OPERATIONS)) {
  Client.prototype[operation] = function (params, options) {
    return this.call(operation, params, options);
  };
}

/** Credits set aside. It is extended until it is captured, released or closed; `lost` says that this failed. */
export class Hold {
  #client;
  #timer;
  #open = true;
  #ttlMs;

  constructor(client, made, ttlS) {
    this.#client = client;
    this.id = made.id;
    this.state = made;
    this.lost = false;
    this.#ttlMs = ttlS ? ttlS * 1000 : Math.max(1000, Date.parse(made.expires_at) - Date.now());
    this.#extendLater(this.#ttlMs / 2);
  }

  /** Charge an `amount`, what `{ usage }` costs, or all that is held. Unless `final` is false the rest is released. */
  async capture(what, { final = true, ...options } = {}) {
    const fields = what === undefined ? {} : typeof what === "object" ? what : { amount: String(what) };
    try {
      this.state = await this.#client.holdCapture({ id: this.id, ...fields, final }, options);
    } catch (error) {
      if (error instanceof HoldResolved) this.#end(true);
      throw error;
    }
    if (final) this.#end();
    return this.state;
  }

  /** Hold more: `{ amount }` beside what it has, or all of a new estimated `{ usage }`. */
  async extend(fields, options) {
    this.state = await this.#client.holdExtend({ id: this.id, ...fields }, options);
    return this.state;
  }

  /** Let it go now. */
  async release(options) {
    this.state = await this.#client.holdRelease({ id: this.id }, options);
    this.#end();
    return this.state;
  }

  /** Release what was not captured. What cannot be released ends by its time limit, and spoils no work that is done. */
  async close() {
    const open = this.#open;
    this.#end();
    if (open) await this.#client.holdRelease({ id: this.id }).catch(() => {});
  }

  #end(lost = false) {
    this.#open = false;
    this.lost = lost;
    clearTimeout(this.#timer);
  }

  #extendLater(ms) {
    this.#timer = setTimeout(() => this.#extend(), ms);
    this.#timer.unref?.();
  }

  async #extend() {
    try {
      const { expires_at } = await this.#client.holdExtend({ id: this.id, ttl_s: Math.ceil(this.#ttlMs / 1000) });
      // An end that did not move is the longest that the ledger allows.
      const moved = expires_at !== this.state.expires_at;
      this.state = { ...this.state, expires_at };
      if (this.#open && moved) this.#extendLater(this.#ttlMs / 2);
    } catch {
      if (this.#open) this.lost = true;
    }
  }
}

Hold.prototype[Symbol.asyncDispose ?? Symbol.for("Symbol.asyncDispose")] = Hold.prototype.close;

async function refusal(answer, idempotencyKey) {
  const problem = await answer.json().catch(() => ({}));
  const code = String(problem.code ?? "");
  const Kind = BY_CODE[code] ?? (answer.status === 402 ? InsufficientCredits : TallystickError);
  const retryAfterMs = 1000 * (Number(answer.headers.get("Retry-After")) || 0);
  const said = problem.detail ?? problem.title ?? "no explanation was given";
  return new Kind(`${answer.status} ${code}: ${said}`, { status: answer.status, code, problem, idempotencyKey, retryAfterMs });
}

/** The events of a stream (HTML standard, section 9.2). */
async function* events(body, heard) {
  const decoder = new TextDecoder();
  let [rest, event, data, id] = ["", "message", [], undefined];
  for await (const piece of body) {
    heard();
    const lines = (rest + decoder.decode(piece, { stream: true })).split("\n");
    rest = lines.pop();
    for (const line of lines.map((each) => each.replace(/\r$/, ""))) {
      if (line === "") {
        if (data.length) yield { event, data: data.join("\n"), id };
        [event, data] = ["message", []];
        continue;
      }
      const [, name, value] = /^([^:]*):? ?(.*)$/s.exec(line);
      if (name === "event") event = value;
      else if (name === "data") data.push(value);
      else if (name === "id") id = value;
    }
  }
}

function sleep(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
