#!/bin/sh
# Runs the project's test program, which prints a line per test, and leaves TAP.
set -u
cd /work
timeout 60 /build/tests/xmltest >printed 2>&1
status=$?
awk '
  /^\[pass\]/ { print "ok - " substr($0, 8) }
  /^\[fail\]/ { print "not ok - " substr($0, 8) }' printed | tr -d "\r#" >/out/results.tap
if [ "$status" -lt 125 ]; then ended=ok; else ended='not ok'; fi
echo "$ended - comes to its end" >>/out/results.tap
