/* Target `parse`: a cue sheet from text. With -DSTANDALONE the text is a file's, otherwise a fuzzer
 * calls with it. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libcue.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  char *text = malloc(size + 1);
  if (!text) return 0;
  memcpy(text, data, size);
  text[size] = 0;
  struct Cd *cd = cue_parse_string(text);
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
