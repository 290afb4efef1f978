// Generated from the ledger's OpenAPI document by deploy/typescript.py: make generate

/** How one call is made. */
export interface CallOptions {
  /** The key under which a write happens once; one is made otherwise. */
  idempotencyKey?: string;
  signal?: AbortSignal;
}

/** A method for each operation; parameters of path, query and body stand side by side. */
export interface Operations {
  /** An account and its settings: GET /v1/accounts/{user} */
  getAccount(params: { user: string; asset?: string | null }, options?: CallOptions): Promise<AccountRecord>;
  /** Set what is given and leave the rest; opens the account: PUT /v1/accounts/{user} */
  accountChange(params: { user: string } & ChangeAccountBody, options?: CallOptions): Promise<Account>;
  /** End an account: POST /v1/accounts/{user}/close */
  accountClose(params: { user: string } & CloseAccountBody, options?: CallOptions): Promise<Account>;
  /** Erase a user's free texts, in all assets: POST /v1/accounts/{user}/erase */
  accountErase(params: { user: string } & Body, options?: CallOptions): Promise<Account>;
  /** Stop charges, new holds and transfers out: POST /v1/accounts/{user}/freeze */
  accountFreeze(params: { user: string } & FreezeAccountBody, options?: CallOptions): Promise<Account>;
  /** Holds: GET /v1/accounts/{user}/holds */
  getHolds(params: { user: string; asset?: string | null; limit?: number; cursor?: string | null; all?: boolean }, options?: CallOptions): Promise<Holds>;
  /** What remains of the grants: GET /v1/accounts/{user}/lots */
  getLots(params: { user: string; asset?: string | null; limit?: number; cursor?: string | null; all?: boolean }, options?: CallOptions): Promise<Lots>;
  /** The authoritative state, now or in the past: GET /v1/accounts/{user}/state */
  getState(params: { user: string; asset?: string | null; service?: string | null; min_position?: number | null; position?: number | null; at?: string | null }, options?: CallOptions): Promise<State>;
  /** The account's own thresholds, and the app's: GET /v1/accounts/{user}/thresholds */
  getThresholds(params: { user: string; asset?: string | null }, options?: CallOptions): Promise<Thresholds>;
  /** Replace the account's own thresholds: PUT /v1/accounts/{user}/thresholds */
  accountThresholds(params: { user: string } & ThresholdsBody, options?: CallOptions): Promise<Account>;
  /** The journal, the newest first: GET /v1/accounts/{user}/transactions */
  getTransactions(params: { user: string; type?: string | null; since?: string | null; until?: string | null; limit?: number; cursor?: string | null; asset?: string | null; reference?: string | null; member?: string | null; format?: "json" | "csv" | "jsonl" | null }, options?: CallOptions): Promise<Transactions>;
  /** Lift a freeze: POST /v1/accounts/{user}/unfreeze */
  accountUnfreeze(params: { user: string } & UnfreezeAccountBody, options?: CallOptions): Promise<Account>;
  /** Earn by an action: POST /v1/actions */
  action(params: PerformAction, options?: CallOptions): Promise<Earning>;
  /** Correct a balance by hand: POST /v1/adjustments */
  adjustment(params: AdjustBalance, options?: CallOptions): Promise<Adjustment>;
  /** Spend credits: POST /v1/charges */
  charge(params: ChargeCredits, options?: CallOptions): Promise<Charge>;
  /** A charge, and what was refunded of it: GET /v1/charges/{id} */
  getCharge(params: { id: string }, options?: CallOptions): Promise<ChargeRecord>;
  /** Give a charge back: POST /v1/charges/{id}/refund */
  chargeRefund(params: { id: string } & RefundChargeBody, options?: CallOptions): Promise<Refund>;
  /** What became of a command: GET /v1/commands/{key} */
  getCommand(params: { key: string; user: string; caller?: string | null }, options?: CallOptions): Promise<Outcome>;
  /** The configuration in force: GET /v1/config */
  getConfig(params: Record<string, never>, options?: CallOptions): Promise<Config>;
  /** Apply a configuration, or see what it would change: PUT /v1/config */
  putConfig(params: { dry_run?: boolean } & ConfigDocument, options?: CallOptions): Promise<Config | Difference>;
  /** Events of the app, the newest first: GET /v1/events */
  getEvents(params: { type?: string | null; since?: string | null; until?: string | null; limit?: number; cursor?: string | null; user?: string | null }, options?: CallOptions): Promise<Events>;
  /** The log of one partition: GET /v1/feed */
  getFeed(params: { topic?: string; partition: number; after?: number; limit?: number }, options?: CallOptions): Promise<Feed>;
  /** Give credits: POST /v1/grants */
  grant(params: GrantCredits, options?: CallOptions): Promise<Grant>;
  /** A grant, and what remains of it: GET /v1/grants/{id} */
  getGrant(params: { id: string }, options?: CallOptions): Promise<Lot>;
  /** Take a grant back: POST /v1/grants/{id}/revoke */
  grantRevoke(params: { id: string } & RevokeGrantBody, options?: CallOptions): Promise<Revocation>;
  /** Set credits aside: POST /v1/holds */
  createHold(params: CreateHold, options?: CallOptions): Promise<Hold>;
  /** A hold: GET /v1/holds/{id} */
  getHold(params: { id: string }, options?: CallOptions): Promise<HoldRecord>;
  /** Charge what a hold has set aside: POST /v1/holds/{id}/capture */
  holdCapture(params: { id: string } & CaptureHoldBody, options?: CallOptions): Promise<Capture>;
  /** Let a hold last longer: POST /v1/holds/{id}/extend */
  holdExtend(params: { id: string } & ExtendHoldBody, options?: CallOptions): Promise<Hold>;
  /** Let go of a hold: POST /v1/holds/{id}/release */
  holdRelease(params: { id: string } & ReleaseHoldBody, options?: CallOptions): Promise<Release>;
  /** Keep what another system booked before: POST /v1/imported-operations */
  operationImport(params: ImportOperation, options?: CallOptions): Promise<ImportedOperation>;
  /** Totals of the app: GET /v1/statistics */
  getStatistics(params: Record<string, never>, options?: CallOptions): Promise<Statistics>;
  /** The app's test clock: GET /v1/test-clock */
  getTestClock(params: Record<string, never>, options?: CallOptions): Promise<TestClock>;
  /** Put the app's test clock forward: PUT /v1/test-clock */
  putTestClock(params: TestClock, options?: CallOptions): Promise<TestClock>;
  /** Move credits to another user: POST /v1/transfers */
  transfer(params: TransferCredits, options?: CallOptions): Promise<Transfer>;
  /** A transfer as it stands: GET /v1/transfers/{id} */
  getTransfer(params: { id: string }, options?: CallOptions): Promise<Transfer>;
}

/** An account and its settings. */
export interface Account {
  settled: string;
  held: string;
  owed: string;
  available: string;
  position: number;
  partition: number;
  user: string;
  status: string;
  zone: string | null;
  overdraft: string;
  freezes: string[];
  thresholds: Threshold[];
}

/** An account as it stands. */
export interface AccountRecord {
  settled: string;
  held: string;
  owed: string;
  available: string;
  position: number;
  partition: number;
  user: string;
  status: string;
  zone: string | null;
  overdraft: string;
  freezes: string[];
  thresholds: Threshold[];
  asset: string;
  opened_at: string;
  closed_at: string | null;
  account_version: number;
}

/** Correct a balance by hand, up or down. */
export interface AdjustBalance {
  asset?: string | null;
  reference?: string | null;
  unique_ref?: string | null;
  reason: string;
  description?: string | null;
  metadata?: Record<string, string> | null;
  member?: string | null;
  user: string;
  amount: string | number;
}

/** A correction; `amount` has its sign. */
export interface Adjustment {
  settled: string;
  held: string;
  owed: string;
  available: string;
  position: number;
  partition: number;
  id: string;
  amount: string;
}

/** Totals of one asset. */
export interface AssetStatistics {
  asset: string;
  accounts: number;
  settled: string;
  held: string;
  owed: string;
  overdraft_used: string;
  issued: Record<string, string>;
  spent: string;
  revoked: string;
  breakage: string;
}

/** What nearly every command may carry. */
export interface Body {
  asset?: string | null;
  reference?: string | null;
  unique_ref?: string | null;
  reason?: string | null;
  description?: string | null;
  metadata?: Record<string, string> | null;
  member?: string | null;
}

/** A capture: `charge` is the charge it made, `shortfall` what no credit covered and is owed. */
export interface Capture {
  settled: string;
  held: string;
  owed: string;
  available: string;
  position: number;
  partition: number;
  id: string;
  status: string;
  charge: string;
  amount: string;
  captured: string;
  shortfall: string;
}

/** Charge what a hold reserves; without an amount, all of it. `final` releases the rest. */
export interface CaptureHoldBody {
  asset?: string | null;
  reference?: string | null;
  unique_ref?: string | null;
  reason?: string | null;
  description?: string | null;
  metadata?: Record<string, string> | null;
  member?: string | null;
  amount?: string | number | null;
  final?: boolean;
}

/** One difference between two configurations. */
export interface Change {
  path: string;
  before: unknown;
  after: unknown;
}

/** Set what is given and leave the rest; opens the account if need be. */
export interface ChangeAccountBody {
  asset?: string | null;
  reference?: string | null;
  unique_ref?: string | null;
  reason?: string | null;
  description?: string | null;
  metadata?: Record<string, string> | null;
  member?: string | null;
  zone?: string | null;
  overdraft?: string | number | null;
  thresholds?: ThresholdSetting[] | null;
}

/** A charge that was made. */
export interface Charge {
  settled: string;
  held: string;
  owed: string;
  available: string;
  position: number;
  partition: number;
  id: string;
  amount: string;
  service: string | null;
}

/** Take credits now; `service` adds the lots that may be spent on it only. */
export interface ChargeCredits {
  asset?: string | null;
  reference?: string | null;
  unique_ref?: string | null;
  reason?: string | null;
  description?: string | null;
  metadata?: Record<string, string> | null;
  member?: string | null;
  user: string;
  amount: string | number;
  service?: string | null;
}

/** A charge as it stands, with the parts that it was taken from. */
export interface ChargeRecord {
  id: string;
  user: string;
  asset: string;
  amount: string;
  refunded: string;
  service: string | null;
  hold: string | null;
  reference: string | null;
  member: string | null;
  time: string;
  parts: Record<string, unknown>[];
}

/** End an account. */
export interface CloseAccountBody {
  asset?: string | null;
  reference?: string | null;
  unique_ref?: string | null;
  reason?: string | null;
  description?: string | null;
  metadata?: Record<string, string> | null;
  member?: string | null;
}

/** The app's configuration; the header ETag has the version for `If-Match`. */
export interface Config {
  app: string;
  version: number;
  config: Record<string, unknown>;
}

/** What `PUT /v1/config` takes. */
export interface ConfigDocument {
  zone?: string;
  assets: Record<string, unknown>;
  prices?: PricesSpec;
  earning_rules?: Record<string, unknown>;
  thresholds?: ThresholdSpec[];
  hold_limits?: HoldLimitsSpec;
  policies?: PoliciesSpec;
  switches?: SwitchesSpec;
  test_mode?: TestModeSpec | null;
}

/** What the credits cost their owner: minor units of an ISO 4217 currency. */
export interface CostBasis {
  amount_minor: number;
  currency: string;
}

/** Reserve credits for `ttl_s` seconds; `partial` takes what there is, if that is less. */
export interface CreateHold {
  asset?: string | null;
  reference?: string | null;
  unique_ref?: string | null;
  reason?: string | null;
  description?: string | null;
  metadata?: Record<string, string> | null;
  member?: string | null;
  user: string;
  amount: string | number;
  service?: string | null;
  ttl_s?: number | null;
  grant?: string | null;
  partial?: boolean;
}

/** What applying a configuration would change. */
export interface Difference {
  app: string;
  version: number;
  changes: Change[];
}

/** What an action earned. */
export interface Earning {
  settled: string;
  held: string;
  owed: string;
  available: string;
  position: number;
  partition: number;
  id: string;
  amount: string;
  source: string;
  priority: number;
  scope: string[];
  effective_at: string;
  expires_at: string | null;
  action: string;
}

/** An event as it lies in the log. */
export interface Event {
  id: string;
  type: string;
  time: string;
  user: string;
  asset: string | null;
  partition: number;
  position: number;
  account_version: number | null;
  transaction: string;
  command: string;
  correlation: string;
  actor: string;
  payload: Record<string, unknown>;
}

/** Events of the app, the newest first. */
export interface Events {
  next_cursor: string | null;
  has_more: boolean;
  data: Event[];
}

/** Let a hold last until `ttl_s` seconds from now. */
export interface ExtendHoldBody {
  asset?: string | null;
  reference?: string | null;
  unique_ref?: string | null;
  reason?: string | null;
  description?: string | null;
  metadata?: Record<string, string> | null;
  member?: string | null;
  ttl_s: number;
}

/** A part of one partition of the log; `events` are CloudEvents in their JSON format. */
export interface Feed {
  source: string;
  topic: string;
  partition: number;
  stream: string;
  head: number;
  streams: FeedStream[];
  events: Record<string, unknown>[];
}

/** An incarnation of the log; `forked_at` is the last `seq` that it shares with the one before. */
export interface FeedStream {
  stream: string;
  forked_at: number;
}

/** Stop charges, new holds and transfers out; `unique_ref` names the freeze (default `manual`). */
export interface FreezeAccountBody {
  asset?: string | null;
  reference?: string | null;
  unique_ref?: string | null;
  reason?: string | null;
  description?: string | null;
  metadata?: Record<string, string> | null;
  member?: string | null;
}

/** A grant that was made. */
export interface Grant {
  settled: string;
  held: string;
  owed: string;
  available: string;
  position: number;
  partition: number;
  id: string;
  amount: string;
  source: string;
  priority: number;
  scope: string[];
  effective_at: string;
  expires_at: string | null;
}

/** Make a lot of credits for a user. */
export interface GrantCredits {
  asset?: string | null;
  reference?: string | null;
  unique_ref?: string | null;
  reason?: string | null;
  description?: string | null;
  metadata?: Record<string, string> | null;
  member?: string | null;
  user: string;
  amount: string | number;
  source?: "paid" | "promo" | "code" | "earned" | "refund" | "cashback" | "referral" | "opening";
  priority?: number;
  effective_at?: string | null;
  expires_at?: string | null;
  scope?: string[];
  cost_basis?: CostBasis | null;
}

/** An open hold. */
export interface Hold {
  settled: string;
  held: string;
  owed: string;
  available: string;
  position: number;
  partition: number;
  id: string;
  status: string;
  amount: string;
  captured: string;
  expires_at: string;
}

/** Seconds that a hold lasts by default, and at most, counted from its creation. */
export interface HoldLimitSpec {
  default_s?: number;
  max_s?: number;
}

/** The app's limits, and those of roles that differ. `open_max`: holds that one account may have at once. */
export interface HoldLimitsSpec {
  default_s?: number;
  max_s?: number;
  open_max?: number;
  roles?: Record<string, HoldLimitSpec>;
}

/** A hold as it stands. */
export interface HoldRecord {
  id: string;
  user: string;
  asset: string;
  status: string;
  amount: string;
  captured: string;
  remaining: string;
  created_at: string;
  expires_at: string;
  limit_at: string;
  resolved_at: string | null;
}

/** Holds in order of their ids. */
export interface Holds {
  next_cursor: string | null;
  has_more: boolean;
  data: HoldRecord[];
}

/** Keep what another system booked before: `amount` is signed and moves nothing, `balance_after` is that system's. */
export interface ImportOperation {
  asset?: string | null;
  reference?: string | null;
  unique_ref?: string | null;
  reason?: string | null;
  description?: string | null;
  metadata?: Record<string, string> | null;
  member?: string | null;
  user: string;
  kind: string;
  occurred_at: string;
  amount: string | number;
  balance_after?: string | number | null;
  action?: string | null;
}

/** What another system had booked, as it told it; it moved nothing here. */
export interface Imported {
  kind: string;
  occurred_at: string;
  amount: string;
  balance_after: string | null;
}

/** What another system booked before; `amount` has its sign and moved nothing. */
export interface ImportedOperation {
  settled: string;
  held: string;
  owed: string;
  available: string;
  position: number;
  partition: number;
  id: string;
  kind: string;
  amount: string;
  occurred_at: string;
}

/** What remains of a grant. */
export interface Lot {
  id: string;
  status: string;
  amount: string;
  remaining: string;
  held: string;
  source: string;
  priority: number;
  scope: string[];
  granted_at: string;
  effective_at: string;
  expires_at: string | null;
}

/** Lots in order of their ids. */
export interface Lots {
  next_cursor: string | null;
  has_more: boolean;
  data: Lot[];
}

/** What became of a command: the status and the body that answered it. */
export interface Outcome {
  key: string;
  user: string;
  caller: string;
  type: string;
  status: number;
  body: Record<string, unknown>;
  partition: number;
  position: number;
  time: string;
}

/** Earn what the app gives for an action. */
export interface PerformAction {
  asset?: string | null;
  reference?: string | null;
  unique_ref?: string | null;
  reason?: string | null;
  description?: string | null;
  metadata?: Record<string, string> | null;
  member?: string | null;
  user: string;
  action: string;
}

/** How the app wants the cases that have no one right answer to be settled. */
export interface PoliciesSpec {
  lots_max?: number;
  capture_tolerance_percent?: number;
  refund_grace_s?: number;
  revoke?: "debt" | "absorb" | "block";
  top_up_url?: string | null;
}

/** The ordinary prices, and `lists` of others that accounts can be given (`price_list` of an account). */
export interface PricesSpec {
  operations?: Record<string, unknown>;
  models?: Record<string, unknown>;
  lists?: Record<string, unknown>;
  quote_ttl_s?: number;
}

/** Credits of a charge given back; `refunded` is all that was ever given back of it. */
export interface Refund {
  settled: string;
  held: string;
  owed: string;
  available: string;
  position: number;
  partition: number;
  id: string;
  charge: string;
  amount: string;
  refunded: string;
}

/** Give a charge back; without an amount, all that is left of it. */
export interface RefundChargeBody {
  asset?: string | null;
  reference?: string | null;
  unique_ref?: string | null;
  reason?: string | null;
  description?: string | null;
  metadata?: Record<string, string> | null;
  member?: string | null;
  amount?: string | number | null;
}

/** A hold that was let go. */
export interface Release {
  settled: string;
  held: string;
  owed: string;
  available: string;
  position: number;
  partition: number;
  id: string;
  status: string;
  released: string;
  captured: string;
}

/** Let go of what a hold reserves. */
export interface ReleaseHoldBody {
  asset?: string | null;
  reference?: string | null;
  unique_ref?: string | null;
  reason?: string | null;
  description?: string | null;
  metadata?: Record<string, string> | null;
  member?: string | null;
}

/** What a revoke took: now (`taken`), on release (`pending`), as a debt, or not at all (`absorbed`). */
export interface Revocation {
  settled: string;
  held: string;
  owed: string;
  available: string;
  position: number;
  partition: number;
  id: string;
  grant: string;
  amount: string;
  taken: string;
  pending: string;
  debt: string;
  absorbed: string;
}

/** Take a grant back, all of it or a part. */
export interface RevokeGrantBody {
  asset?: string | null;
  reference?: string | null;
  unique_ref?: string | null;
  reason?: string | null;
  description?: string | null;
  metadata?: Record<string, string> | null;
  member?: string | null;
  amount?: string | number | null;
  policy?: "debt" | "absorb" | "block" | null;
  hold?: string | null;
}

/** One account of a transfer after it. */
export interface Side {
  settled: string;
  held: string;
  owed: string;
  available: string;
  position: number;
  partition: number;
  user: string;
}

/** The one authoritative answer about an account, as of a position and a time. */
export interface State {
  settled: string;
  held: string;
  owed: string;
  available: string;
  position: number;
  partition: number;
  user: string;
  asset: string;
  status: string;
  overdraft: string;
  freezes: string[];
  total_granted: string;
  total_spent: string;
  lots: Lot[];
  holds: HoldRecord[];
  next_expiry: string | null;
  next_reset: string | null;
  account_version: number;
  time: string;
}

/** Totals of the app. */
export interface Statistics {
  app: string;
  time: string;
  assets: AssetStatistics[];
}

/** Features of the ledger that an app may switch off. Every service gets all switches and reads its own. */
export interface SwitchesSpec {
  transfers?: boolean;
  actions?: boolean;
  holds?: boolean;
}

/** The body of `PUT` and the answer of both: `now` is an RFC 3339 time. */
export interface TestClock {
  now: string;
}

/** An app in test mode has a clock of its own that starts here and moves forward by hand. */
export interface TestModeSpec {
  clock_start: string;
}

/** A level of `available`, and where it is armed again. */
export interface Threshold {
  below: string;
  rearm_at: string;
}

/** A level of `available` to be told about, once, until `rearm_at` (default: the level) is reached again. */
export interface ThresholdSetting {
  below: string | number;
  rearm_at?: string | number | null;
}

/** A level of `available`, crossed downward; armed again at `rearm_at` (the level itself by default). */
export interface ThresholdSpec {
  below: string;
  rearm_at?: string | null;
  asset?: string | null;
}

/** The account's own thresholds, and those of its app. */
export interface Thresholds {
  user: string;
  asset: string;
  thresholds: Threshold[];
  app: Threshold[];
}

/** Replace the account's own thresholds; the app's stay beside them. */
export interface ThresholdsBody {
  asset?: string | null;
  reference?: string | null;
  unique_ref?: string | null;
  reason?: string | null;
  description?: string | null;
  metadata?: Record<string, string> | null;
  member?: string | null;
  thresholds: ThresholdSetting[];
}

/** One event of an account; `amount` is what it did to `settled`, `before` and `after` are `settled` around it. */
export interface Transaction {
  id: string;
  type: string;
  time: string;
  amount: string;
  before: string;
  after: string;
  held_before: string;
  held_after: string;
  owed_before: string;
  owed_after: string;
  object: string | null;
  reference: string | null;
  member: string | null;
  reason: string | null;
  description: string | null;
  metadata: Record<string, string> | null;
  imported: Imported | null;
  transaction: string;
  account_version: number;
  partition: number;
  position: number;
}

/** The journal of an account, the newest first. */
export interface Transactions {
  next_cursor: string | null;
  has_more: boolean;
  data: Transaction[];
}

/** A transfer: `pending` until the credit's outcome is committed, then `completed` or `returned`. */
export interface Transfer {
  id: string;
  status: string;
  amount: string;
  asset: string;
  from_user: string;
  to_user: string;
  refusal?: string | null;
  accounts?: Side[];
}

/** Move credits from one user to another; they keep their terms. */
export interface TransferCredits {
  asset?: string | null;
  reference?: string | null;
  unique_ref?: string | null;
  reason?: string | null;
  description?: string | null;
  metadata?: Record<string, string> | null;
  member?: string | null;
  from_user: string;
  to_user: string;
  amount: string | number;
}

/** Lift the freeze that `unique_ref` names (default `manual`). */
export interface UnfreezeAccountBody {
  asset?: string | null;
  reference?: string | null;
  unique_ref?: string | null;
  reason?: string | null;
  description?: string | null;
  metadata?: Record<string, string> | null;
  member?: string | null;
}
