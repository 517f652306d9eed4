#!/bin/sh
# Published JavaScript is used as it is.
set -eu
mkdir "$OUT/package"
cp -R "$SRC/." "$OUT/package"
