#!/bin/sh
# Runs once, when the PostgreSQL container makes its cluster: for each service a database, the role that owns it, and
# the runtime role, which owns nothing.
set -eu

service() {
    psql -v ON_ERROR_STOP=1 -v name="$1" -v owner="$1_owner" -v owner_password="$2" -v password="$3" \
        --username "$POSTGRES_USER" --dbname postgres <<'SQL'
CREATE ROLE :"owner" LOGIN PASSWORD :'owner_password';
CREATE ROLE :"name" LOGIN PASSWORD :'password';
CREATE DATABASE :"name" OWNER :"owner" TEMPLATE template0;
REVOKE ALL ON DATABASE :"name" FROM PUBLIC;
GRANT CONNECT ON DATABASE :"name" TO :"name";
SQL
}

service ledger "$LEDGER_OWNER_PASSWORD" "$LEDGER_PASSWORD"
service codes "$CODES_OWNER_PASSWORD" "$CODES_PASSWORD"
