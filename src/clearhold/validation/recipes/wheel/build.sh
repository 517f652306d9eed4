#!/bin/sh
# wheel is pure Python: what is installed is the package directory as published.
set -eu
cp -R "$SRC/src/wheel" "$OUT/wheel"
