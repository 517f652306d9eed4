#!/bin/sh
set -eu
# What is installed are the package's modules as published; nothing is compiled.
for place in 'src/configobj'; do
  if [ -d "$SRC/$place" ]; then cp -R "$SRC/$place" "$OUT/"; break; fi
  if [ -f "$SRC/$place.py" ]; then cp "$SRC/$place.py" "$OUT/"; break; fi
done
for place in 'src/validate'; do
  if [ -d "$SRC/$place" ]; then cp -R "$SRC/$place" "$OUT/"; break; fi
  if [ -f "$SRC/$place.py" ]; then cp "$SRC/$place.py" "$OUT/"; break; fi
done
for place in '.needed/six/.'; do
  if [ -e "$SRC/$place" ]; then cp -R "$SRC/$place" "$OUT/"; fi
done
if [ -f "$SRC/PKG-INFO" ]; then  # for importlib.metadata
  mkdir -p "$OUT"/'configobj.dist-info'
  cp "$SRC/PKG-INFO" "$OUT"/'configobj.dist-info/METADATA'
fi
