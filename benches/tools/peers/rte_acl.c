/* DPDK's rte_acl on the rules and tuples that `peers` writes: for each classify method, the
 * best time of a lookup over some rounds, in ns, and the answers of the best one.
 *
 *   rte_acl FILE ANSWERS ROUNDS
 *
 * FILE, in words of 32 bits in the machine's order: number of rules, number of tuples; per rule source
 * and its mask length, destination and its mask length, source ports, destination ports, protocol and
 * its mask; per tuple source, destination, source port, destination port, protocol. Earlier rules
 * have the higher priority. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <rte_acl.h>
#include <rte_byteorder.h>
#include <rte_eal.h>

struct tuple { uint8_t proto; uint8_t pad[3]; uint32_t src, dst; uint16_t sport, dport; };

enum { PROTO, SRC, DST, SPORT, DPORT, FIELDS };
#define FIELD(n, kind, bytes, group, member) \
  { .type = RTE_ACL_FIELD_TYPE_##kind, .size = bytes, .field_index = n, .input_index = group, \
    .offset = offsetof(struct tuple, member) }
static const struct rte_acl_field_def fields[FIELDS] = {
  FIELD(PROTO, BITMASK, 1, 0, proto), FIELD(SRC, MASK, 4, 1, src), FIELD(DST, MASK, 4, 2, dst),
  FIELD(SPORT, RANGE, 2, 3, sport), FIELD(DPORT, RANGE, 2, 3, dport),
};
RTE_ACL_RULE_DEF(rule, FIELDS);

static void die(const char *what) { fprintf(stderr, "%s\n", what); exit(2); }
static double now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec + t.tv_nsec * 1e-9; }

int main(int argc, char **argv) {
  if (argc != 4) die("rte_acl FILE ANSWERS ROUNDS");
  char *eal[] = {"rte_acl", "--no-huge", "--no-pci", "-m", "2048", "--no-shconf", "--log-level=1",
                 "--force-max-simd-bitwidth=512", "-l", "0", NULL};
  if (rte_eal_init(10, eal) < 0) die("rte_eal_init");
  FILE *in = fopen(argv[1], "rb");
  uint32_t head[2], w[10];
  if (!in || fread(head, 4, 2, in) != 2) die("cannot read the rules");
  const uint32_t rules = head[0], tuples = head[1];
  struct rte_acl_param param = {.name = "peers", .socket_id = SOCKET_ID_ANY,
    .rule_size = RTE_ACL_RULE_SZ(FIELDS), .max_rule_num = rules};
  struct rte_acl_ctx *ctx = rte_acl_create(&param);
  if (!ctx) die("rte_acl_create");
  for (uint32_t n = 0; n < rules; n++) {
    struct rule r = {.data = {.category_mask = 1, .priority = RTE_ACL_MAX_PRIORITY - (int)n, .userdata = n + 1}};
    if (fread(w, 4, 10, in) != 10) die("rules end early");
    r.field[SRC].value.u32 = w[0]; r.field[SRC].mask_range.u32 = w[1];
    r.field[DST].value.u32 = w[2]; r.field[DST].mask_range.u32 = w[3];
    r.field[SPORT].value.u16 = w[4]; r.field[SPORT].mask_range.u16 = w[5];
    r.field[DPORT].value.u16 = w[6]; r.field[DPORT].mask_range.u16 = w[7];
    r.field[PROTO].value.u8 = w[8]; r.field[PROTO].mask_range.u8 = w[9];
    if (rte_acl_add_rules(ctx, (struct rte_acl_rule *)&r, 1)) die("rte_acl_add_rules");
  }
  struct rte_acl_config config = {.num_categories = 1, .num_fields = FIELDS};
  memcpy(config.defs, fields, sizeof fields);
  double start = now();
  if (rte_acl_build(ctx, &config)) die("rte_acl_build");
  const double build = now() - start;
  struct tuple *all = calloc(tuples, sizeof *all);
  const uint8_t **data = calloc(tuples, sizeof *data);
  uint32_t *found = calloc(tuples, sizeof *found), *answer = calloc(tuples, sizeof *answer);
  for (uint32_t n = 0; n < tuples; n++) {
    if (fread(w, 4, 5, in) != 5) die("tuples end early");
    all[n] = (struct tuple){.proto = w[4], .src = rte_cpu_to_be_32(w[0]), .dst = rte_cpu_to_be_32(w[1]),
      .sport = rte_cpu_to_be_16(w[2]), .dport = rte_cpu_to_be_16(w[3])};
    data[n] = (const uint8_t *)&all[n];
  }
  static const struct { const char *name; enum rte_acl_classify_alg alg; } methods[] = {
    {"scalar", RTE_ACL_CLASSIFY_SCALAR}, {"sse", RTE_ACL_CLASSIFY_SSE}, {"avx2", RTE_ACL_CLASSIFY_AVX2},
    {"avx512x16", RTE_ACL_CLASSIFY_AVX512X16}, {"avx512x32", RTE_ACL_CLASSIFY_AVX512X32}};
  double best = 1e9;
  const char *name = "none";
  for (size_t m = 0; m < sizeof methods / sizeof *methods; m++) {
    if (rte_acl_set_ctx_classify(ctx, methods[m].alg)) continue;
    for (int round = 0; round < atoi(argv[3]); round++) {
      start = now();
      for (uint32_t n = 0; n < tuples; n += 256)
        if (rte_acl_classify(ctx, data + n, found + n, tuples - n < 256 ? tuples - n : 256, 1)) die("rte_acl_classify");
      const double ns = (now() - start) * 1e9 / tuples;
      if (ns < best) { best = ns; name = methods[m].name; memcpy(answer, found, tuples * sizeof *found); }
    }
  }
  FILE *out = fopen(argv[2], "wb");
  if (!out || fwrite(answer, 4, tuples, out) != tuples || fclose(out)) die("cannot write the answers");
  printf("%.2f %s %.1f\n", best, name, build * 1e3);
  return 0;
}
