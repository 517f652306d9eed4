#!/bin/sh
# setuptools is pure Python: what is installed are its package directories as published.
set -eu
cp -R "$SRC/setuptools" "$SRC/pkg_resources" "$SRC/_distutils_hack" "$OUT/"
