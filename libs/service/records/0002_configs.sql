-- Every version of every app's configuration that was applied; the latest is in force. Times are microseconds.
CREATE TABLE configs (
    app text NOT NULL,
    version int NOT NULL,
    document jsonb NOT NULL,
    applied_at bigint NOT NULL,
    actor text NOT NULL,
    PRIMARY KEY (app, version)
);

GRANT SELECT, INSERT ON configs TO :runtime;
