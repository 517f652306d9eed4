/* A small record format with one flaw in each kind of record, each with its own fix.

   A line that ends in a tag is there in some states only: `fix:N` when flaw N is fixed, `bug:N` while
   it is not, `partial:N` under a fix of N that misses some shapes, `broad:NAME` under a fix that
   refuses more than it should. A file is the four bytes ORC1 and records of kind, length, content. */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OUT_OF_LINE __attribute__((noinline))

struct orchard {
  char *note, *label, *shared;
  int holders, sorted, waiting;
  uint8_t *queue;
  int32_t *rows;
};

typedef int handler(struct orchard *o, const uint8_t *p, int n);

/* Most reads and writes pass through these, so that the faults of many flaws look alike. */
OUT_OF_LINE static void put(uint8_t *room, int at, uint8_t value) {
  if (at >= 16) return; //broad:writes
  room[at] = value;
}
OUT_OF_LINE static uint8_t get(const uint8_t *room, int at) { return room[at]; }

OUT_OF_LINE static int take_name(struct orchard *o, const uint8_t *p, int n) {
  uint8_t *name = malloc(16);
  int sum = 0;
  if (n > 64) { free(name); return -1; } //partial:1
  if (n > 16) { free(name); return -1; } //fix:1
  for (int i = 0; i < n; i++) put(name, i, p[i]);
  for (int i = 0; i < n; i++) sum += get(name, i);
  free(name);
  return sum;
}

OUT_OF_LINE static int set_slot(struct orchard *o, const uint8_t *p, int n) {
  uint8_t *slots = calloc(8, 1);
  if (n < 2) { free(slots); return -1; }
  if (p[0] >= 8) { free(slots); return -1; } //fix:2
  int other = n > 2 ? (int8_t)p[2] : 0;
  if (other < 0) { free(slots); return -1; } //fix:25
  if (other < 8) put(slots, other, 1);
  put(slots, p[0], p[1]);
  int seen = slots[p[0]];
  free(slots);
  return seen;
}

OUT_OF_LINE static int read_weight(struct orchard *o, const uint8_t *p, int n) {
  uint8_t *weights = calloc(32, 1);
  int at = n ? (int8_t)p[0] : 0, seen = -1;
  if (at < 0) at = 0; //fix:3
  if (at < 32) seen = get(weights, at);
  free(weights);
  return seen;
}

OUT_OF_LINE static int end_line(struct orchard *o, const uint8_t *p, int n) {
  uint8_t *line = malloc(24);
  if (n > 24) { free(line); return -1; } //bug:4
  if (n >= 24) { free(line); return -1; } //fix:4
  for (int i = 0; i < n; i++) put(line, i, p[i]);
  put(line, n, 0);
  int seen = n ? line[n - 1] : 0;
  free(line);
  return seen;
}

OUT_OF_LINE static int keep_note(struct orchard *o, const uint8_t *p, int n) {
  for (int i = 0; i < n; i++) {
    if (p[i] == 'n' && o->note == NULL) o->note = calloc(8, 1);
    if (p[i] == 'f') {
      free(o->note);
      o->note = NULL; //fix:5
      if (i + 1 == n) o->note = NULL;
    }
    if (p[i] == 'r' && o->note) return get((uint8_t *)o->note, 3);
  }
  return 0;
}

OUT_OF_LINE static void drop(char *what) { free(what); }

OUT_OF_LINE static int keep_label(struct orchard *o, const uint8_t *p, int n) {
  for (int i = 0; i < n; i++) {
    if (p[i] == 'l' && o->label == NULL) o->label = calloc(12, 1);
    if (p[i] == 'd') {
      drop(o->label);
      o->label = NULL; //fix:6
    }
  }
  if (n && p[n - 1] == 'd') o->label = NULL;
  return n;
}

OUT_OF_LINE static int make_grid(struct orchard *o, const uint8_t *p, int n) {
  if (n < 2) return -1;
  uint8_t size = (uint8_t)(p[0] * p[1]);
  if (p[0] * p[1] > 255) return -1; //fix:7
  uint8_t *grid = malloc(size + 1);
  for (int i = 0; i < p[0] * p[1]; i++) put(grid, i, 7);
  free(grid);
  return size;
}

OUT_OF_LINE static const uint8_t *find(const uint8_t *p, int n, uint8_t key) {
  for (int i = 0; i + 1 < n; i += 2)
    if (p[i] == key) return p + i + 1;
  return NULL;
}

OUT_OF_LINE static int look_up(struct orchard *o, const uint8_t *p, int n) {
  if (n < 1) return -1;
  const uint8_t *found = find(p + 1, n - 1, p[0]);
  if (found == NULL) return -1; //fix:8
  return get(found, 0);
}

OUT_OF_LINE static int greet(struct orchard *o, const uint8_t *p, int n) {
  uint8_t words[12];
  if (n > 40) return -1; //partial:9
  if (n > 12) return -1; //fix:9
  for (int i = 0; i < n; i++) put(words, i, p[i]);
  return n ? get(words, n - 1) : 0;
}

OUT_OF_LINE static int repeat(struct orchard *o, const uint8_t *p, int n) {
  uint8_t *out = malloc(64);
  int at = 0;
  for (int i = 0; i + 1 < n; i += 2) {
    if (p[i] > 64) break; //partial:10
    if (at + p[i] > 64) break; //fix:10
    for (int k = 0; k < p[i]; k++) put(out, at++, p[i + 1]);
  }
  free(out);
  return at;
}

OUT_OF_LINE static int refer(struct orchard *o, const uint8_t *p, int n) {
  uint8_t *out = calloc(128, 1);
  int at = 0;
  for (int i = 0; i + 1 < n && at < 100; i += 2) {
    if (p[i] > at) break; //fix:11
    if (p[i]) put(out, at, get(out, at - p[i]));
    else put(out, at, p[i + 1]);
    at++;
  }
  free(out);
  return at;
}

OUT_OF_LINE static int add_up(struct orchard *o, const uint8_t *p, int n) {
  uint8_t *values = calloc(20, 1);
  int sum = 0, count = n ? p[0] : 0;
  if (count > 20) count = 20;
  for (int i = 0; i <= count; i++) { //bug:12
  for (int i = 0; i < count; i++) { //fix:12
    sum += get(values, i);
  }
  free(values);
  return sum;
}

OUT_OF_LINE static int measure(struct orchard *o, const uint8_t *p, int n) {
  uint8_t *text = malloc(n ? n : 1);
  int size = 0;
  for (int i = 0; i < n; i++) put(text, i, p[i]);
  while (get(text, size)) size++; //bug:13
  while (size < n && get(text, size)) size++; //fix:13
  free(text);
  return size;
}

OUT_OF_LINE static int ratio(struct orchard *o, const uint8_t *p, int n) {
  if (n < 2) return -1;
  if (p[1] == 0) return -1; //fix:14
  return p[0] / p[1];
}

OUT_OF_LINE static int as_large(struct orchard *o, const uint8_t *p, int n) {
  if (n < 2) return -1;
  uint8_t *item = calloc(p[0] == 'L' ? 40 : 8, 1);
  int seen = 0;
  if (p[1] & 1) seen = get(item, 33); //bug:15
  if (p[1] & 1 && p[0] == 'L') seen = get(item, 33); //fix:15
  free(item);
  return seen;
}

OUT_OF_LINE static int runes(struct orchard *o, const uint8_t *p, int n) {
  uint8_t *text = malloc(n + 1);
  int count = 0, i = 0;
  for (int k = 0; k < n; k++) put(text, k, p[k]);
  put(text, n, 0);
  while (i < n) {
    int width = text[i] >= 0xf0 ? 4 : text[i] >= 0xe0 ? 3 : text[i] >= 0xc0 ? 2 : 1;
    if (i + width > n) break; //fix:16
    for (int k = 1; k < width; k++) count += get(text, i + k) >> 7;
    i += width;
  }
  free(text);
  return count;
}

OUT_OF_LINE static int from_hex(struct orchard *o, const uint8_t *p, int n) {
  uint8_t *digits = malloc(n ? n : 1);
  int sum = 0;
  for (int i = 0; i < n; i++) put(digits, i, p[i]);
  if (n % 2) n--; //fix:17
  for (int i = 0; i < n; i += 2) sum += get(digits, i) ^ get(digits, i + 1);
  free(digits);
  return sum;
}

OUT_OF_LINE static int turn(struct orchard *o, const uint8_t *p, int n) {
  if (n < 2) return -1;
  int high = p[0] & 15, wide = p[1] & 15, sum = 0;
  uint8_t *cells = malloc(n);
  for (int i = 0; i < n; i++) put(cells, i, p[i]);
  if (2 + high * wide > n) high = 0; //fix:18
  for (int x = 0; x < wide; x++)
    for (int y = 0; y < high; y++) sum += get(cells, 2 + y * wide + x);
  free(cells);
  return sum;
}

OUT_OF_LINE static int insert(struct orchard *o, const uint8_t *p, int n) {
  if (o->rows == NULL) o->rows = calloc(10, sizeof *o->rows);
  for (int i = 0; i < n; i++) {
    if (o->sorted > 10) return -1; //bug:19
    if (o->sorted >= 10) return -1; //fix:19
    o->rows[o->sorted++] = p[i];
  }
  return o->sorted;
}

OUT_OF_LINE static int queue(struct orchard *o, const uint8_t *p, int n) {
  if (o->queue == NULL) o->queue = calloc(32, 1);
  int seen = 0;
  for (int i = 0; i < n; i++) {
    if (p[i] == '+' && o->waiting < 32) put(o->queue, o->waiting++, i);
    if (p[i] == '-' && o->waiting == 0) continue; //fix:20
    if (p[i] == '-') seen += get(o->queue, --o->waiting);
  }
  return seen;
}

static const uint8_t DAYS[13] = {0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

OUT_OF_LINE static int days(struct orchard *o, const uint8_t *p, int n) {
  if (n < 1) return -1;
  if (p[0] > 12) return -1; //fix:21
  return get(DAYS, p[0] & 63);
}

OUT_OF_LINE static int letters(struct orchard *o, const uint8_t *p, int n) {
  uint8_t *alphabet = calloc(64, 1);
  int sum = 0;
  for (int i = 0; i < n; i++) {
    if (p[i] > 63) continue; //fix:22
    sum += get(alphabet, p[i]) + 1;
  }
  free(alphabet);
  return sum;
}

OUT_OF_LINE static int cut(struct orchard *o, const uint8_t *p, int n) {
  uint8_t *rest = malloc(256);
  int left = n - 4;
  if (left < 0) left = 0; //fix:23
  memcpy(rest, p + n - left, left);
  int seen = left ? get(rest, left - 1) : 0;
  free(rest);
  return seen;
}

OUT_OF_LINE static int share(struct orchard *o, const uint8_t *p, int n) {
  if (o->shared == NULL) { o->shared = calloc(6, 1); o->holders = 1; }
  for (int i = 0; i < n; i++) {
    if (p[i] == '+') o->holders++;
    if (p[i] == '-' && o->holders == 1) continue; //fix:24
    if (p[i] == '-' && --o->holders == 0) free(o->shared);
    if (p[i] == '?') return get((uint8_t *)o->shared, 5);
  }
  if (o->holders < 1) o->shared = NULL;
  return o->holders;
}

static handler *const KINDS[] = {
  NULL,     take_name, set_slot, read_weight, end_line, keep_note, keep_label, make_grid, look_up,
  greet,    repeat,    refer,    add_up,      measure,  ratio,     as_large,   runes,     from_hex,
  turn,     insert,    queue,    days,        letters,  cut,       share,
};

OUT_OF_LINE static int dispatch(struct orchard *o, int kind, const uint8_t *p, int n) {
  if (n > 11) return 0; //broad:long
  if (kind > 12) return 0; //broad:late
  if (kind < 1 || kind >= (int)(sizeof KINDS / sizeof *KINDS)) return -2;
  return KINDS[kind](o, p, n);
}

int main(int argc, char **argv) {
  static uint8_t file[65536];
  struct orchard o = {0};
  FILE *in = argc == 2 ? fopen(argv[1], "rb") : NULL;
  if (in == NULL) return 65;
  size_t size = fread(file, 1, sizeof file, in);
  fclose(in);
  if (size < 4 || memcmp(file, "ORC1", 4)) return 65;
  for (size_t at = 4; at + 2 <= size && at + 2 + file[at + 1] <= size; at += 2 + file[at + 1])
    printf("%d:%d\n", file[at], dispatch(&o, file[at], file + at + 2, file[at + 1]));
  return 0;
}
