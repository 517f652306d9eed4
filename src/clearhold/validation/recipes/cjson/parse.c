/* Target `parse`: JSON text in a buffer of exactly its length, so that a read beyond it is seen.
 * With -DSTANDALONE the text is a file's, otherwise a fuzzer calls with it. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cJSON.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  char *text = malloc(size ? size : 1);
  if (!text) return 0;
  memcpy(text, data, size);
  cJSON_Delete(cJSON_ParseWithLength(text, size));
  free(text);
  return 0;
}

#ifdef STANDALONE
enum { MAXIMUM_BYTES = 4 * 1024 * 1024, UNUSABLE_PROOF = 65 };

int main(int count, char **argv) {
  FILE *file = count == 2 ? fopen(argv[1], "rb") : NULL;
  uint8_t *data = malloc(MAXIMUM_BYTES + 1);
  if (!file || !data) return UNUSABLE_PROOF;
  size_t size = fread(data, 1, MAXIMUM_BYTES + 1, file);
  fclose(file);
  if (size > MAXIMUM_BYTES) return UNUSABLE_PROOF;
  LLVMFuzzerTestOneInput(data, size);
  cJSON *tree = cJSON_ParseWithLength((const char *)data, size);
  char *printed = cJSON_Print(tree);
  puts(printed ? printed : "refused");
  cJSON_free(printed);
  cJSON_Delete(tree);
  free(data);
  return 0;
}
#endif
