/* Target `parse`: a cue sheet from text. With -DSTANDALONE the text is a file's, otherwise a fuzzer
 * calls with it. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libcue.h"

#ifdef STANDALONE
/* What came out, as far as it shows a change of behaviour. */
static void show(struct Cd *cd) {
  puts(cd ? "parsed" : "refused");
  for (int at = 1; cd && at <= cd_get_ntrack(cd); at++) {
    struct Track *track = cd_get_track(cd, at);
    const char *name = track_get_filename(track);
    printf("%d %s %ld %ld\n", at, name ? name : "", track_get_start(track),
           track_get_index(track, 1));
  }
}
#endif

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  char *text = malloc(size + 1);
  if (!text) return 0;
  memcpy(text, data, size);
  text[size] = 0;
  struct Cd *cd = cue_parse_string(text);
#ifdef STANDALONE
  show(cd);
#endif
  if (cd) cd_delete(cd);
  free(text);
  return 0;
}

#ifdef STANDALONE
enum { MAXIMUM_BYTES = 64 * 1024, UNUSABLE_PROOF = 65 };

int main(int count, char **argv) {
  FILE *file = count == 2 ? fopen(argv[1], "rb") : NULL;
  uint8_t *data = malloc(MAXIMUM_BYTES + 1);
  if (!file || !data) return UNUSABLE_PROOF;
  size_t size = fread(data, 1, MAXIMUM_BYTES + 1, file);
  fclose(file);
  if (size > MAXIMUM_BYTES) return UNUSABLE_PROOF;
  LLVMFuzzerTestOneInput(data, size);
  free(data);
  return 0;
}
#endif
