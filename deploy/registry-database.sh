#!/bin/sh
# Run once by the PostgreSQL image, when its data folder is new: the registry's role and database.
set -eu
psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --set=password="$REGISTRY_PASSWORD" \
  --username="$POSTGRES_USER" --dbname=postgres <<'SQL'
CREATE ROLE registry LOGIN PASSWORD :'password';
CREATE DATABASE registry OWNER registry;
SQL
