#!/bin/sh
# PyYAML works without its extension: what is installed is the package for Python 3.
set -eu
for place in lib3 lib; do
  if [ -d "$SRC/$place/yaml" ]; then
    cp -R "$SRC/$place/yaml" "$OUT/yaml"
    break
  fi
done
