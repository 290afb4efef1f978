// Generated from the ledger's OpenAPI document by deploy/typescript.py: make generate

/** How one call is made. */
export interface CallOptions {
  /** The key under which a write happens once; one is made otherwise. */
  idempotencyKey?: string;
  signal?: AbortSignal;
}

/** A method for each operation; parameters of path, query and body stand side by side. */
export interface Operations {
  /** The accounts of the app: GET /v1/accounts */
  getAccounts(params: { asset?: string | null; limit?: number; cursor?: string | null; format?: "json" | "csv" | "jsonl" | null; status?: "open" | "frozen" | "closed" | null; plan?: string | null; settled_min?: string | null; settled_max?: string | null; owed_min?: string | null }, options?: CallOptions): Promise<Accounts>;
  /** An account and its settings: GET /v1/accounts/{user} */
  getAccount(params: { user: string; asset?: string | null }, options?: CallOptions): Promise<AccountRecord>;
  /** Set what is given and leave the rest; opens the account: PUT /v1/accounts/{user} */
  accountChange(params: { user: string } & ChangeAccountBody, options?: CallOptions): Promise<Account>;
  /** How much may be spent in a period, and how much of it is used: GET /v1/accounts/{user}/budgets */
  getBudgets(params: { user: string; asset?: string | null }, options?: CallOptions): Promise<Budgets>;
  /** Replace the account's budgets; what is counted goes on under the same name: PUT /v1/accounts/{user}/budgets */
  accountBudgets(params: { user: string } & SetBudgetsBody, options?: CallOptions): Promise<BudgetsSet>;
  /** End an account: POST /v1/accounts/{user}/close */
  accountClose(params: { user: string } & CloseAccountBody, options?: CallOptions): Promise<Account>;
  /** Erase a user's free texts, in all assets: POST /v1/accounts/{user}/erase */
  accountErase(params: { user: string } & Body, options?: CallOptions): Promise<Account>;
  /** Why the balance is what it is: GET /v1/accounts/{user}/explain */
  explainAccount(params: { user: string; asset?: string | null; service?: string | null; position?: number | null; at?: string | null; limit?: number; cursor?: string | null }, options?: CallOptions): Promise<AccountExplanation>;
  /** Stop charges, new holds and transfers out: POST /v1/accounts/{user}/freeze */
  accountFreeze(params: { user: string } & FreezeAccountBody, options?: CallOptions): Promise<Account>;
  /** Holds: GET /v1/accounts/{user}/holds */
  getHolds(params: { user: string; asset?: string | null; limit?: number; cursor?: string | null; format?: "json" | "csv" | "jsonl" | null; since?: string | null; until?: string | null; all?: boolean; status?: "open" | "captured" | "released" | "expired" | "revoked" | null }, options?: CallOptions): Promise<Holds>;
  /** What remains of the grants: GET /v1/accounts/{user}/lots */
  getLots(params: { user: string; asset?: string | null; limit?: number; cursor?: string | null; format?: "json" | "csv" | "jsonl" | null; since?: string | null; until?: string | null; all?: boolean; source?: string | null }, options?: CallOptions): Promise<Lots>;
  /** Give the account a plan, or none: PUT /v1/accounts/{user}/plan */
  accountPlan(params: { user: string } & AssignPlanBody, options?: CallOptions): Promise<Plan>;
  /** Restore the allowance to its limit now: POST /v1/accounts/{user}/reset */
  accountReset(params: { user: string } & ResetAllowanceBody, options?: CallOptions): Promise<Plan>;
  /** The authoritative state, now or in the past: GET /v1/accounts/{user}/state */
  getState(params: { user: string; asset?: string | null; service?: string | null; position?: number | null; at?: string | null; min_position?: number | null }, options?: CallOptions): Promise<State>;
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
  /** Many commands, in order: POST /v1/batch */
  postBatch(params: BatchBody, options?: CallOptions): Promise<Batch>;
  /** Spend credits: POST /v1/charges */
  charge(params: ChargeCredits, options?: CallOptions): Promise<Charge>;
  /** A charge, and what was refunded of it: GET /v1/charges/{id} */
  getCharge(params: { id: string }, options?: CallOptions): Promise<ChargeRecord>;
  /** Why a charge was what it was: GET /v1/charges/{id}/explain */
  explainCharge(params: { id: string }, options?: CallOptions): Promise<ChargeExplanation>;
  /** Give a charge back: POST /v1/charges/{id}/refund */
  chargeRefund(params: { id: string } & RefundChargeBody, options?: CallOptions): Promise<Refund>;
  /** What became of a command: GET /v1/commands/{key} */
  getCommand(params: { key: string; user: string; caller?: string | null }, options?: CallOptions): Promise<Outcome>;
  /** The configuration in force: GET /v1/config */
  getConfig(params: Record<string, never>, options?: CallOptions): Promise<Config>;
  /** Apply a configuration, or see what it would change: PUT /v1/config */
  putConfig(params: { dry_run?: boolean } & ConfigDocument, options?: CallOptions): Promise<Config | Difference>;
  /** Events of the app, the newest first: GET /v1/events */
  getEvents(params: { type?: string | null; since?: string | null; until?: string | null; limit?: number; cursor?: string | null; format?: "json" | "csv" | "jsonl" | null; user?: string | null }, options?: CallOptions): Promise<Events>;
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
  /** Let a hold last longer, or pin more: POST /v1/holds/{id}/extend */
  holdExtend(params: { id: string } & ExtendHoldBody, options?: CallOptions): Promise<Hold>;
  /** Let go of a hold: POST /v1/holds/{id}/release */
  holdRelease(params: { id: string } & ReleaseHoldBody, options?: CallOptions): Promise<Release>;
  /** Keep what another system booked before: POST /v1/imported-operations */
  operationImport(params: ImportOperation, options?: CallOptions): Promise<ImportedOperation>;
  /** What operations and models cost: GET /v1/prices */
  getPrices(params: { list?: string | null; user?: string | null }, options?: CallOptions): Promise<Prices>;
  /** Ask what something costs, and have it promised: POST /v1/quotes */
  quote(params: QuoteBody, options?: CallOptions): Promise<Quote>;
  /** Totals of the app: GET /v1/statistics */
  getStatistics(params: { format?: "json" | "csv" | "jsonl" | null }, options?: CallOptions): Promise<Statistics>;
  /** The app's test clock: GET /v1/test-clock */
  getTestClock(params: Record<string, never>, options?: CallOptions): Promise<TestClock>;
  /** Put the app's test clock forward: PUT /v1/test-clock */
  putTestClock(params: TestClock, options?: CallOptions): Promise<TestClock>;
  /** Move credits to another user: POST /v1/transfers */
  transfer(params: TransferCredits, options?: CallOptions): Promise<Transfer>;
  /** A transfer as it stands: GET /v1/transfers/{id} */
  getTransfer(params: { id: string }, options?: CallOptions): Promise<Transfer>;
}

/** An account and its settings; `id` is the user, where something was done to it. */
export interface Account {
  settled: string;
  held: string;
  owed: string;
  available: string;
  position: number;
  partition: number;
  id?: string | null;
  user: string;
  status: string;
  zone: string | null;
  overdraft: string;
  freezes: string[];
  price_list: string | null;
  thresholds: Threshold[];
}

/** An account after a batch. */
export interface AccountAfter {
  settled: string;
  held: string;
  owed: string;
  available: string;
  position: number;
  partition: number;
  user: string;
  asset: string;
}

/** Replace the account's budgets. What is counted goes on under the same name, unless something else is counted. */
export interface AccountBudgetsItem {
  asset?: string | null;
  reference?: string | null;
  unique_ref?: string | null;
  reason?: string | null;
  description?: string | null;
  metadata?: Record<string, string> | null;
  member?: string | null;
  budgets: BudgetSetting[];
  user: string;
  type: "account.budgets";
  key: string;
}

/** Set what is given and leave the rest; opens the account if need be. */
export interface AccountChangeItem {
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
  price_list?: string | null;
  user: string;
  type: "account.change";
  key: string;
}

/** End an account. */
export interface AccountCloseItem {
  asset?: string | null;
  reference?: string | null;
  unique_ref?: string | null;
  reason?: string | null;
  description?: string | null;
  metadata?: Record<string, string> | null;
  member?: string | null;
  user: string;
  type: "account.close";
  key: string;
}

/** What nearly every command may carry. */
export interface AccountEraseItem {
  asset?: string | null;
  reference?: string | null;
  unique_ref?: string | null;
  reason?: string | null;
  description?: string | null;
  metadata?: Record<string, string> | null;
  member?: string | null;
  type: "account.erase";
  key: string;
  user: string;
}

/** Why an account is as it is. `data` are its events, the newest first. */
export interface AccountExplanation {
  next_cursor: string | null;
  has_more: boolean;
  user: string;
  asset: string;
  settled: string;
  held: string;
  owed: string;
  available: string;
  service: string | null;
  settled_is: Term[];
  held_is: Term[];
  owed_is: Term[];
  available_is: Term[];
  lots: ExplainedLot[];
  holds: ExplainedHold[];
  debts: ExplainedDebt[];
  totals: TotalOfKind[];
  due: Because[];
  told_since: number;
  account_version: number;
  position: number;
  partition: number;
  time: string;
  data: Movement[];
}

/** Stop charges, new holds and transfers out; `unique_ref` names the freeze (default `manual`). */
export interface AccountFreezeItem {
  asset?: string | null;
  reference?: string | null;
  unique_ref?: string | null;
  reason?: string | null;
  description?: string | null;
  metadata?: Record<string, string> | null;
  member?: string | null;
  user: string;
  type: "account.freeze";
  key: string;
}

/** Give an account a plan of the app, or with null none: what is left then lasts to the period's end. */
export interface AccountPlanItem {
  asset?: string | null;
  reference?: string | null;
  unique_ref?: string | null;
  reason?: string | null;
  description?: string | null;
  metadata?: Record<string, string> | null;
  member?: string | null;
  plan: string | null;
  anchor?: string | null;
  paid_until?: string | null;
  user: string;
  type: "account.plan";
  key: string;
}

/** An account as it stands. */
export interface AccountRecord {
  settled: string;
  held: string;
  owed: string;
  available: string;
  position: number;
  partition: number;
  id?: string | null;
  user: string;
  status: string;
  zone: string | null;
  overdraft: string;
  freezes: string[];
  price_list: string | null;
  thresholds: Threshold[];
  plan: string | null;
  allowance: Allowance | null;
  asset: string;
  opened_at: string;
  closed_at: string | null;
  account_version: number;
}

/** Restore the allowance to its limit now; when it returns by itself stays as it is. */
export interface AccountResetItem {
  asset?: string | null;
  reference?: string | null;
  unique_ref?: string | null;
  reason?: string | null;
  description?: string | null;
  metadata?: Record<string, string> | null;
  member?: string | null;
  user: string;
  type: "account.reset";
  key: string;
}

/** Replace the account's own thresholds; the app's stay beside them. */
export interface AccountThresholdsItem {
  asset?: string | null;
  reference?: string | null;
  unique_ref?: string | null;
  reason?: string | null;
  description?: string | null;
  metadata?: Record<string, string> | null;
  member?: string | null;
  thresholds: ThresholdSetting[];
  type: "account.thresholds";
  key: string;
  user: string;
}

/** Lift the freeze that `unique_ref` names (default `manual`). */
export interface AccountUnfreezeItem {
  asset?: string | null;
  reference?: string | null;
  unique_ref?: string | null;
  reason?: string | null;
  description?: string | null;
  metadata?: Record<string, string> | null;
  member?: string | null;
  user: string;
  type: "account.unfreeze";
  key: string;
}

/** Accounts in the order of their users. */
export interface Accounts {
  next_cursor: string | null;
  has_more: boolean;
  data: AccountRecord[];
}

/** Earn what the app gives for an action. */
export interface ActionItem {
  asset?: string | null;
  reference?: string | null;
  unique_ref?: string | null;
  reason?: string | null;
  description?: string | null;
  metadata?: Record<string, string> | null;
  member?: string | null;
  user: string;
  action: string;
  type: "action";
  key: string;
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

/** Correct a balance by hand, up or down. */
export interface AdjustmentItem {
  asset?: string | null;
  reference?: string | null;
  unique_ref?: string | null;
  reason?: string | null;
  description?: string | null;
  metadata?: Record<string, string> | null;
  member?: string | null;
  user: string;
  amount: string | number;
  type: "adjustment";
  key: string;
}

/** The allowance of the period under way. `used` is what was spent since `last_reset`, of any credits. */
export interface Allowance {
  status: string;
  limit: string;
  carried: string;
  left: string;
  used: string;
  last_reset: string;
  next_reset: string | null;
  period_start: string;
  period_end: string;
  anchor: string | null;
  paid_until: string | null;
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

/** Give an account a plan of the app, or with null none: what is left then lasts to the period's end. */
export interface AssignPlanBody {
  asset?: string | null;
  reference?: string | null;
  unique_ref?: string | null;
  reason?: string | null;
  description?: string | null;
  metadata?: Record<string, string> | null;
  member?: string | null;
  plan: string | null;
  anchor?: string | null;
  paid_until?: string | null;
}

/** The balances at a moment. */
export interface BalancesOf {
  settled: string;
  held: string;
  owed: string;
}

/** An account's balances when a command was refused. */
export interface BalancesThen {
  asset: string;
  settled: string;
  held: string;
  owed: string;
  available: string;
}

/** The results in the order of the commands, and the accounts that they changed, by user and asset. */
export interface Batch {
  results: Result[];
  accounts: AccountAfter[];
}

/** Commands in order; with `atomic`, all of them are done or none. */
export interface BatchBody {
  atomic?: boolean;
  commands: (GrantItem | GrantRevokeItem | ChargeItem | ChargeRefundItem | HoldItem | HoldCaptureItem | HoldExtendItem | HoldReleaseItem | QuoteItem | TransferItem | AdjustmentItem | ActionItem | OperationImportItem | AccountFreezeItem | AccountUnfreezeItem | AccountCloseItem | AccountChangeItem | AccountPlanItem | AccountResetItem | AccountThresholdsItem | AccountBudgetsItem | AccountEraseItem)[];
}

/** Why something is so. */
export interface Because {
  why: string;
  sentence: string;
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

/** A budget and what it counts; one of each member (`*`) has `members` in place of `used`, `held` and `left`. */
export interface Budget {
  name: string;
  member: string | null;
  key: string | null;
  period: string;
  limit: string;
  hard: boolean;
  used?: string | null;
  held?: string | null;
  left?: string | null;
  members?: MemberCount[] | null;
  period_start: string;
  period_end: string | null;
}

/** How much may be spent in a period: by a `member` (`*`: by each), by whoever has a `key`, or by all together. */
export interface BudgetSetting {
  name?: string | null;
  member?: string | null;
  key?: string | null;
  period: "day" | "week" | "month" | "lifetime";
  limit: string | number;
  hard?: boolean;
}

/** The budgets of an account. */
export interface Budgets {
  user: string;
  asset: string;
  budgets: Budget[];
}

/** The budgets of an account after they were set; `id` is the user. */
export interface BudgetsSet {
  settled: string;
  held: string;
  owed: string;
  available: string;
  position: number;
  partition: number;
  id: string;
  user: string;
  budgets: Budget[];
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
  priced?: Priced | null;
}

/** Charge what a hold reserves, or what `usage` costs at its prices; without either, all of it. `final` releases … */
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
  usage?: Usage | null;
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
  price_list?: string | null;
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
  priced?: Priced | null;
}

/** Take credits now: an `amount`, what a `price` (an operation) costs for its `quantity` (default 1), what a … */
export interface ChargeCredits {
  asset?: string | null;
  reference?: string | null;
  unique_ref?: string | null;
  reason?: string | null;
  description?: string | null;
  metadata?: Record<string, string> | null;
  member?: string | null;
  user: string;
  amount?: string | number | null;
  service?: string | null;
  price?: string | null;
  quantity?: string | number | null;
  model?: string | null;
  usage?: Usage | null;
  quote?: string | null;
}

/** Why a charge cost what it did, and what it was taken from. */
export interface ChargeExplanation {
  why: string;
  sentence: string;
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
  priced: Priced | null;
  made: Made;
  command: string;
  transaction: string;
  config_version: number;
  pricing: Pricing | null;
  parts: ExplainedPart[];
  budgets: Record<string, unknown>[];
  refunds: ExplainedRefund[];
  before: BalancesOf;
  after: BalancesOf;
  account_version: number;
  position: number;
  partition: number;
}

/** Take credits now: an `amount`, what a `price` (an operation) costs for its `quantity` (default 1), what a … */
export interface ChargeItem {
  asset?: string | null;
  reference?: string | null;
  unique_ref?: string | null;
  reason?: string | null;
  description?: string | null;
  metadata?: Record<string, string> | null;
  member?: string | null;
  user: string;
  amount?: string | number | null;
  service?: string | null;
  price?: string | null;
  quantity?: string | number | null;
  model?: string | null;
  usage?: Usage | null;
  quote?: string | null;
  type: "charge";
  key: string;
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
  priced?: Priced | null;
}

/** Give a charge back; without an amount, all that is left of it. */
export interface ChargeRefundItem {
  asset?: string | null;
  reference?: string | null;
  unique_ref?: string | null;
  reason?: string | null;
  description?: string | null;
  metadata?: Record<string, string> | null;
  member?: string | null;
  amount?: string | number | null;
  charge: string;
  type: "charge.refund";
  key: string;
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
  allowances?: Record<string, unknown>;
  earning_rules?: Record<string, unknown>;
  earning_caps?: EarningCapSpec[];
  thresholds?: ThresholdSpec[];
  hold_limits?: HoldLimitsSpec;
  policies?: PoliciesSpec;
  switches?: SwitchesSpec;
  test_mode?: TestModeSpec | null;
}

/** What credits cost their owner: minor units of an ISO 4217 currency. */
export interface Cost {
  amount_minor: number;
  currency: string;
}

/** What the credits cost their owner: minor units of an ISO 4217 currency. */
export interface CostBasis {
  amount_minor: number;
  currency: string;
}

/** Reserve credits for `ttl_s` seconds, as many as a charge of the same would take; `partial` takes what there … */
export interface CreateHold {
  asset?: string | null;
  reference?: string | null;
  unique_ref?: string | null;
  reason?: string | null;
  description?: string | null;
  metadata?: Record<string, string> | null;
  member?: string | null;
  user: string;
  amount?: string | number | null;
  service?: string | null;
  ttl_s?: number | null;
  grant?: string | null;
  partial?: boolean;
  price?: string | null;
  quantity?: string | number | null;
  model?: string | null;
  usage?: Usage | null;
  quote?: string | null;
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

/** What all earning rules together give one user at most in each period of the app's zone. */
export interface EarningCapSpec {
  amount: string;
  period: "day" | "week" | "month" | "lifetime";
  asset?: string | null;
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

/** What became owed at once, and how much of it still is. */
export interface ExplainedDebt {
  why: string;
  sentence: string;
  cause: string | null;
  amount: string;
  open: string;
  time: string;
}

/** An open hold: what made it, and what it pins. */
export interface ExplainedHold {
  id: string;
  amount: string;
  captured: string;
  remaining: string;
  service: string | null;
  expires_at: string;
  made: Made;
  lots: Pinned[];
}

/** A lot: what made it, and what took from it. `amount` less the `uses` is what remains. */
export interface ExplainedLot {
  id: string;
  status: string;
  amount: string;
  remaining: string;
  held: string;
  spent: string;
  revoked: string;
  breakage: string;
  source: string;
  priority: number;
  scope: string[];
  granted_at: string;
  effective_at: string;
  expires_at: string | null;
  cost_basis: Cost | null;
  origin: LotOrigin | null;
  made: Made;
  uses: UseOfLot[];
}

/** Where a part of a charge came from, and why it was its turn; of a lot, what it was. */
export interface ExplainedPart {
  why: string;
  sentence: string;
  kind: string;
  amount: string;
  grant?: string | null;
  source?: string | null;
  priority?: number | null;
  scope?: string[];
  granted_at?: string | null;
  expires_at?: string | null;
}

/** What was given back of a charge, and where it went. */
export interface ExplainedRefund {
  why: string;
  sentence: string;
  id: string;
  amount: string;
  made: Made;
  lots: Record<string, unknown>[];
}

/** Let a hold last until `ttl_s` seconds from now, or reserve more: `amount` beside what it has, or as much as a … */
export interface ExtendHoldBody {
  asset?: string | null;
  reference?: string | null;
  unique_ref?: string | null;
  reason?: string | null;
  description?: string | null;
  metadata?: Record<string, string> | null;
  member?: string | null;
  ttl_s?: number | null;
  amount?: string | number | null;
  usage?: Usage | null;
  partial?: boolean;
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

/** Make a lot of credits for a user. */
export interface GrantItem {
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
  type: "grant";
  key: string;
}

/** Take a grant back, all of it or a part. */
export interface GrantRevokeItem {
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
  grant: string;
  type: "grant.revoke";
  key: string;
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
  service?: string | null;
  grant?: string | null;
  added?: string | null;
  priced?: Priced | null;
}

/** Charge what a hold reserves; without an amount, all of it. `final` releases the rest. */
export interface HoldCaptureItem {
  asset?: string | null;
  reference?: string | null;
  unique_ref?: string | null;
  reason?: string | null;
  description?: string | null;
  metadata?: Record<string, string> | null;
  member?: string | null;
  amount?: string | number | null;
  final?: boolean;
  usage?: Usage | null;
  hold: string;
  type: "hold.capture";
  key: string;
}

/** Let a hold last longer, or reserve more. */
export interface HoldExtendItem {
  asset?: string | null;
  reference?: string | null;
  unique_ref?: string | null;
  reason?: string | null;
  description?: string | null;
  metadata?: Record<string, string> | null;
  member?: string | null;
  ttl_s?: number | null;
  amount?: string | number | null;
  usage?: Usage | null;
  partial?: boolean;
  hold: string;
  type: "hold.extend";
  key: string;
}

/** Reserve credits for `ttl_s` seconds, as many as a charge of the same would take; `partial` takes what there … */
export interface HoldItem {
  asset?: string | null;
  reference?: string | null;
  unique_ref?: string | null;
  reason?: string | null;
  description?: string | null;
  metadata?: Record<string, string> | null;
  member?: string | null;
  user: string;
  amount?: string | number | null;
  service?: string | null;
  ttl_s?: number | null;
  grant?: string | null;
  partial?: boolean;
  price?: string | null;
  quantity?: string | number | null;
  model?: string | null;
  usage?: Usage | null;
  quote?: string | null;
  type: "hold";
  key: string;
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
  service: string | null;
  grant: string | null;
  reference: string | null;
  member: string | null;
  created_at: string;
  expires_at: string;
  limit_at: string;
  resolved_at: string | null;
}

/** Let go of what a hold reserves. */
export interface HoldReleaseItem {
  asset?: string | null;
  reference?: string | null;
  unique_ref?: string | null;
  reason?: string | null;
  description?: string | null;
  metadata?: Record<string, string> | null;
  member?: string | null;
  hold: string;
  type: "hold.release";
  key: string;
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
  spent: string;
  revoked: string;
  breakage: string;
  source: string;
  priority: number;
  scope: string[];
  granted_at: string;
  effective_at: string;
  expires_at: string | null;
  cost_basis: Cost | null;
  origin: LotOrigin | null;
}

/** What a lot was made of: another lot or a transfer, by its id. */
export interface LotOrigin {
  kind: string;
  id: string;
}

/** Lots in order of their ids. */
export interface Lots {
  next_cursor: string | null;
  has_more: boolean;
  data: Lot[];
}

/** What made something, who, and when; the event is null where it lies too far back. */
export interface Made {
  why: string;
  sentence: string;
  event: string | null;
  actor: string | null;
  time: string | null;
  reference: string | null;
  reason: string | null;
  member: string | null;
}

/** What a budget of each member counts of one of them. */
export interface MemberCount {
  used: string;
  held: string;
  left: string;
  period_start: string;
  period_end: string | null;
  member: string;
}

/** One event: what it did to the balances, and to which lots. */
export interface Movement {
  why: string;
  sentence: string;
  event: string;
  type: string;
  time: string;
  object: string | null;
  actor: string;
  settled: string;
  held: string;
  owed: string;
  settled_after: string;
  lots: Record<string, unknown>[];
  reference: string | null;
  reason: string | null;
  member: string | null;
  transaction: string;
  account_version: number;
  position: number;
}

/** Keep what another system booked before: `amount` is signed and moves nothing, `balance_after` is that system's. */
export interface OperationImportItem {
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
  type: "operation.import";
  key: string;
}

/** What became of a command: the status and the body that answered it; `accounts` is there for a refusal. */
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
  accounts?: BalancesThen[];
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

/** A part of a lot that a hold has set aside. */
export interface Pinned {
  grant: string;
  amount: string;
}

/** The account's plan and its allowance; `id` is the user. */
export interface Plan {
  settled: string;
  held: string;
  owed: string;
  available: string;
  position: number;
  partition: number;
  id: string;
  user: string;
  plan: string | null;
  allowance: Allowance | null;
}

/** How the app wants the cases that have no one right answer to be settled. */
export interface PoliciesSpec {
  lots_max?: number;
  budgets_max?: number;
  budget_members_max?: number;
  capture_tolerance_percent?: number;
  refund_grace_s?: number;
  revoke?: "debt" | "absorb" | "block";
  top_up_url?: string | null;
}

/** One step from what was used to what was taken: what it comes to so far. */
export interface PriceStep {
  why: string;
  sentence: string;
  amount: string;
}

/** What an amount was worked out from. The lines are exact; their sum, marked up, raised to the minimum and … */
export interface Priced {
  version: number;
  price?: string | null;
  model?: string | null;
  usage: UsedUnit[];
  lines: PricedLine[];
  markup_percent?: string;
  minimum?: string;
  price_list?: string | null;
  quote?: string | null;
}

/** A part of a price, not rounded; `unit_price` is for one, or for `per` tokens of the model's price. */
export interface PricedLine {
  unit: string;
  count: string;
  unit_price: string;
  amount: string;
}

/** The prices in force: by operation and by model, each with the time of its next change. */
export interface Prices {
  app: string;
  version: number;
  config_version: number;
  list: string | null;
  time: string;
  next_change: string | null;
  quote_ttl_s: number;
  operations: Record<string, Record<string, unknown>>;
  models: Record<string, Record<string, unknown>>;
}

/** The ordinary prices, and `lists` of others that accounts can be given (`price_list` of an account). */
export interface PricesSpec {
  operations?: Record<string, unknown>;
  models?: Record<string, unknown>;
  lists?: Record<string, unknown>;
  quote_ttl_s?: number;
}

/** What was used and at which prices; null where the caller named the amount. */
export interface Pricing {
  version: number;
  price?: string | null;
  model?: string | null;
  usage: UsedUnit[];
  lines: PricedLine[];
  markup_percent?: string;
  minimum?: string;
  price_list?: string | null;
  quote?: string | null;
  steps: PriceStep[];
}

/** What something costs, promised until `valid_until`; of a user, whether it is there, and in which lots. */
export interface Quote {
  id: string;
  user: string | null;
  asset: string;
  amount: string;
  price_version: number;
  valid_until: string;
  affordable: boolean | null;
  budget: string | null;
  settled: string | null;
  held: string | null;
  owed: string | null;
  available: string | null;
  slices: QuoteSlice[];
  lines: PricedLine[];
  priced: Priced;
  position: number;
  partition: number;
}

/** What something costs, for a user (and from which of his credits) or for anybody. Nothing is recorded of it, so … */
export interface QuoteBody {
  asset?: string | null;
  reference?: string | null;
  unique_ref?: string | null;
  reason?: string | null;
  description?: string | null;
  metadata?: Record<string, string> | null;
  member?: string | null;
  user?: string | null;
  service?: string | null;
  price?: string | null;
  quantity?: string | number | null;
  model?: string | null;
  usage?: Usage | null;
}

/** What something costs, for a user (and from which of his credits) or for anybody. Nothing is recorded of it, so … */
export interface QuoteItem {
  asset?: string | null;
  reference?: string | null;
  unique_ref?: string | null;
  reason?: string | null;
  description?: string | null;
  metadata?: Record<string, string> | null;
  member?: string | null;
  user?: string | null;
  service?: string | null;
  price?: string | null;
  quantity?: string | number | null;
  model?: string | null;
  usage?: Usage | null;
  type: "quote";
  key: string;
}

/** What a quote would take of a lot; `lot` is null for the allowance that an account would open with. */
export interface QuoteSlice {
  lot: string | null;
  amount: string;
  source: string;
  expires_at: string | null;
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

/** Restore the allowance to its limit now; when it returns by itself stays as it is. */
export interface ResetAllowanceBody {
  asset?: string | null;
  reference?: string | null;
  unique_ref?: string | null;
  reason?: string | null;
  description?: string | null;
  metadata?: Record<string, string> | null;
  member?: string | null;
}

/** What became of one command of a batch: `body` below 400, else `problem`. */
export interface Result {
  status: number;
  replayed: boolean;
  body?: Record<string, unknown> | null;
  problem?: Record<string, unknown> | null;
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

/** Replace the account's budgets. What is counted goes on under the same name, unless something else is counted. */
export interface SetBudgetsBody {
  asset?: string | null;
  reference?: string | null;
  unique_ref?: string | null;
  reason?: string | null;
  description?: string | null;
  metadata?: Record<string, string> | null;
  member?: string | null;
  budgets: BudgetSetting[];
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
  zone: string | null;
  price_list: string | null;
  service: string | null;
  overdraft: string;
  overdraft_used: string;
  freezes: string[];
  total_granted: string;
  total_spent: string;
  lots: Lot[];
  holds: HoldRecord[];
  next_expiry: string | null;
  plan: string | null;
  allowance: Allowance | null;
  next_reset: string | null;
  budgets: Budget[];
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

/** A part of a balance; the parts add up to it. */
export interface Term {
  why: string;
  sentence: string;
  amount: string;
}

/** The body of `PUT` and the answer of both: `now` is an RFC 3339 time. */
export interface TestClock {
  now: string;
}

/** An app in test mode has a clock of its own that starts here and moves forward by hand. */
export interface TestModeSpec {
  clock_start: string;
}

/** A level of `available`, and where it is armed again: in credits, or in per cent of the allowance. */
export interface Threshold {
  below?: string | null;
  rearm_at?: string | null;
  below_percent?: number | null;
  rearm_percent?: number | null;
}

/** A level of `available` to be told about, once, until `rearm_at` (default: the level) is reached again. */
export interface ThresholdSetting {
  below?: string | number | null;
  rearm_at?: string | number | null;
  below_percent?: number | null;
  rearm_percent?: number | null;
}

/** A level of `available`, crossed downward; armed again at `rearm_at` (the level itself by default). */
export interface ThresholdSpec {
  below?: string | null;
  rearm_at?: string | null;
  below_percent?: number | null;
  rearm_percent?: number | null;
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

/** What one kind of event did to the balances; all kinds together made them what they are. */
export interface TotalOfKind {
  why: string;
  count: number;
  settled: string;
  held: string;
  owed: string;
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
  priced?: Priced | null;
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

/** Move credits from one user to another; they keep their terms. */
export interface TransferItem {
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
  type: "transfer";
  key: string;
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

/** How much was, or will be, used. Tokens as OpenAI counts them: `input` is all of the prompt, with those of it … */
export interface Usage {
  input?: number | null;
  output?: number | null;
  cached?: number | null;
  cache_write?: number | null;
  reasoning?: number | null;
  images?: number | null;
  seconds?: string | number | null;
  quantity?: string | number | null;
}

/** What one kind of event took from a lot altogether, less what it gave back. */
export interface UseOfLot {
  why: string;
  amount: string;
  count: number;
  time: string | null;
}

/** How much of a unit was used: a decimal string. */
export interface UsedUnit {
  unit: string;
  count: string;
}
