#!/bin/sh
set -eu
# Published JavaScript is used as it is, found by its own name.
mkdir -p "$OUT"/'node_modules/mixin-deep'
cp -R "$SRC/." "$OUT"/'node_modules/mixin-deep'
echo 'export const load = (name) => import(name);' >"$OUT/load.mjs"
