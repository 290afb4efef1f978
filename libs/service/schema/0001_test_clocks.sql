-- The clocks of apps in test mode. A clock goes forward only; the processes of the service read it from here.
CREATE TABLE test_clocks (
    app text PRIMARY KEY,
    now timestamptz NOT NULL
);

GRANT SELECT, INSERT, UPDATE ON test_clocks TO :runtime;
