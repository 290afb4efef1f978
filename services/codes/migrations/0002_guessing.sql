-- Who guesses codes, and why codes were refused. Times are microseconds since the epoch.

-- What is known of a guesser. An address is kept as an HMAC under the pepper. `forget_at`: when nothing of it counts.
CREATE TABLE guesses (
    app text NOT NULL,
    by text NOT NULL CHECK (by IN ('user', 'address')),
    who text NOT NULL,
    misses bigint[] NOT NULL DEFAULT '{}',
    locks int NOT NULL DEFAULT 0,
    locked_until bigint NOT NULL DEFAULT 0,
    forget_at bigint NOT NULL,
    PRIMARY KEY (app, by, who)
);
CREATE INDEX guesses_old ON guesses (forget_at);

-- Misses of the whole app in windows that follow each other, in parts, so that those at once don't wait for each other.
CREATE TABLE guess_windows (
    app text NOT NULL,
    window_at bigint NOT NULL,
    part smallint NOT NULL,
    misses int NOT NULL,
    PRIMARY KEY (window_at, app, part)
);

-- Windows in which guessing was suspected, and told.
CREATE TABLE guess_alarms (
    app text NOT NULL,
    window_at bigint NOT NULL,
    misses bigint NOT NULL,
    PRIMARY KEY (window_at, app)
);

-- Refusals: `reason` is the true one, `answered` what the caller was told. Without a `code_id` there was no such code.
CREATE TABLE refusals (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    app text NOT NULL,
    code_id text,
    user_id text NOT NULL,
    checkout text,
    reason text NOT NULL,
    answered text NOT NULL,
    refused_at bigint NOT NULL,
    forget_at bigint NOT NULL,
    told boolean NOT NULL DEFAULT false
);
CREATE INDEX refusals_of_app ON refusals (app, refused_at);
CREATE INDEX refusals_untold ON refusals (id) WHERE NOT told AND code_id IS NOT NULL;
CREATE INDEX refusals_old ON refusals (forget_at);

GRANT SELECT, INSERT, UPDATE, DELETE ON guesses, guess_windows, guess_alarms, refusals TO :runtime;
