#!/bin/sh
# Runs the project's parser tests and leaves TAP: each case, read in pieces of several sizes, must
# print what the project keeps beside it.
set -u
cd /work/test/parsing/cases
for file in *.json; do
  option=
  case $file in
    ac_*) option=-c ;;
    ag_*) option=-g ;;
    am_*) option=-m ;;
    ap_*) option=-p ;;
  esac
  ended=ok
  for size in 1 2 7 31; do
    timeout 10 /build/tests/yajl_test $option -b "$size" <"$file" >/work/printed 2>&1
    cmp -s /work/printed "$file.gold" || ended='not ok'
  done
  echo "$ended - ${file%.json}" >>/out/results.tap
done
if /build/tests/gen-extra-close >/dev/null 2>&1; then ended=ok; else ended='not ok'; fi
echo "$ended - gen-extra-close" >>/out/results.tap
