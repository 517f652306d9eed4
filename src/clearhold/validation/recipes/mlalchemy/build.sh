#!/bin/sh
set -eu
# What is installed are the package's modules as published; nothing is compiled.
for place in 'mlalchemy'; do
  if [ -d "$SRC/$place" ]; then cp -R "$SRC/$place" "$OUT/"; break; fi
  if [ -f "$SRC/$place.py" ]; then cp "$SRC/$place.py" "$OUT/"; break; fi
done
for place in '.needed/future/src/future' '.needed/future/src/libfuturize' '.needed/future/src/libpasteurize' '.needed/future/src/past' '.needed/pyyaml/lib3/yaml' '.needed/sqlalchemy/lib/sqlalchemy'; do
  if [ -e "$SRC/$place" ]; then cp -R "$SRC/$place" "$OUT/"; fi
done
if [ -f "$SRC/PKG-INFO" ]; then  # for importlib.metadata
  mkdir -p "$OUT"/'mlalchemy.dist-info'
  cp "$SRC/PKG-INFO" "$OUT"/'mlalchemy.dist-info/METADATA'
fi
