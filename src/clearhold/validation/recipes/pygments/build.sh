#!/bin/sh
# Pygments is pure Python: what is installed is the package directory as published.
set -eu
cp -R "$SRC/pygments" "$OUT/pygments"
