/** The client of Tallystick for Node and browsers. Amounts are decimal strings, never floats. */

import type { CallOptions, Capture, Hold as HoldState, Operations, Release, State } from "./generated.js";

export * from "./generated.js";

export type Amount = string | number | bigint;
export type Usage = Record<string, number | string>;
/** What something costs: an amount, or a price, a model with its estimated usage, or a quote. */
export type Cost =
  | Amount
  | { price: string; quantity?: Amount }
  | { model: string; usage: Usage }
  | { quote: string };

export interface ClientOptions {
  /** The ledger; http://127.0.0.1:8001 when left out. */
  url?: string;
  /** A bearer token, or what gives one; it is asked again when a token has expired. */
  token?: string | (() => string | Promise<string>);
  /** Names the app for tokens that hold several. */
  app?: string;
  retry?: { attempts?: number; totalMs?: number; firstMs?: number; maxMs?: number };
  /** Limit of one attempt. */
  timeoutMs?: number;
  fetch?: typeof globalThis.fetch;
}

export interface HoldOptions {
  ttl_s?: number;
  service?: string;
  grant?: string;
  partial?: boolean;
  asset?: string;
  reference?: string;
  reason?: string;
  member?: string;
  idempotencyKey?: string;
}

export interface ChangesOptions {
  user: string;
  asset?: string;
  after?: number;
  patienceMs?: number;
  signal?: AbortSignal;
}

export interface Client extends Operations {}
export class Client {
  constructor(options?: ClientOptions);
  hold<T>(user: string, cost: Cost, work: (hold: Hold) => Promise<T>, options?: HoldOptions): Promise<T>;
  hold(user: string, cost: Cost, options?: HoldOptions): Promise<Hold>;
  changes(options: ChangesOptions): AsyncGenerator<State, never>;
  call(operation: keyof Operations, params?: object, options?: CallOptions): Promise<unknown>;
}

export class Hold implements AsyncDisposable {
  readonly id: string;
  /** The ledger's latest answer about it. */
  readonly state: HoldState;
  /** Whether the ledger refused to extend it or had already ended it: stop working, its rest may be gone. */
  readonly lost: boolean;
  capture(what?: Amount | { usage: Usage }, options?: CallOptions & { final?: boolean }): Promise<Capture>;
  extend(fields: { amount?: Amount; usage?: Usage; ttl_s?: number; partial?: boolean }, options?: CallOptions): Promise<HoldState>;
  release(options?: CallOptions): Promise<Release>;
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

export class TallystickError extends Error {
  readonly status?: number;
  readonly code: string;
  readonly problem: Record<string, unknown>;
  readonly idempotencyKey?: string;
  readonly retryAfterMs: number;
}
export class InsufficientCredits extends TallystickError {
  readonly required: string;
  readonly available: string;
  readonly topUpUrl: string | null;
}
export class HoldResolved extends TallystickError {}
export class BudgetExceeded extends TallystickError {}
export class ConnectionFailed extends TallystickError {}
