#!/bin/sh
# Runs every test program beside the project's test inputs and leaves JUnit XML of their verdicts.
# Unity prints `file:line:test:PASS`; a program that dies is itself a failed test.
set -u
cd /work/tests
{
  echo '<testsuite name="cjson">'
  for program in /build/tests/*; do
    name=${program##*/}
    timeout 20 "$program" >/work/printed 2>/dev/null
    status=$?
    awk -F: -v name="$name" '
      NF >= 4 && $4 ~ /^(PASS|FAIL|IGNORE)/ {
        printf "<testcase classname=\"%s\" name=\"%s\">", name, $3
        if ($4 ~ /^FAIL/) printf "<failure/>"
        if ($4 ~ /^IGNORE/) printf "<skipped/>"
        print "</testcase>"
      }' /work/printed
    printf '<testcase classname="%s" name="ends">' "$name"
    [ "$status" -le 125 ] && grep -q '^[0-9]* Tests ' /work/printed || printf '<failure/>'
    echo '</testcase>'
  done
  echo '</testsuite>'
} >/out/results.xml
