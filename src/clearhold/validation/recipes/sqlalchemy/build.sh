#!/bin/sh
# SQLAlchemy works without its extensions: what is installed is the package directory.
set -eu
cp -R "$SRC/lib/sqlalchemy" "$OUT/sqlalchemy"
