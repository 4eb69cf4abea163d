/* SPDX-License-Identifier: MIT
 *
 * The safetensors format (huggingface.co/docs/safetensors): the length of the header in 8 bytes, lowest
 * first; the header, JSON:
 *
 *     {"__metadata__":{"key":"text",...},"name":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},...}
 *
 * perhaps with spaces behind it; the elements, little-endian, in row-major order, each tensor's from where to
 * where its data_offsets say, without gaps or overlaps.
 *
 * Files of ours have "format" = "libopt" and a "crc32" in the metadata, which comes first: of the whole file,
 * with the eight digits of the sum itself taken as 0.
 */
#ifndef OPT_SAFETENSORS_SAFETENSORS_H
#define OPT_SAFETENSORS_SAFETENSORS_H

#include <opt/tensor.h>

#include "file/file.h"

#define OPT__ST_MAX_HEADER 100000000 /* bytes, as the format has it */

/* How our headers begin, up to the eight digits. */
#define OPT__ST_BEFORE_SUM "{\"__metadata__\":{" OPT__ST_OURS ",\"crc32\":\""
#define OPT__ST_OURS       "\"format\":\"libopt\""

/* ---- Writing ------------------------------------------------------------------------------------------- */

/* A tensor of the file. */
typedef struct opt__named {
    const char *name;
    opt_tensor t;
} opt__named;

/* Text that is measured (to NULL) or written. */
typedef struct opt__text {
    char *to;
    int64_t len;
} opt__text;

/* Adds a pair of the metadata; key is group and name end to end. */
void opt__text_pair(opt__text *t, const char *group, const char *name, const char *value);

/* Writes such a file, the one before kept as path.bak. `describe` adds pairs to the metadata; it is called
 * twice. OPT_EINVAL for a name that is not UTF-8 or not the only one of its kind; OPT_EIO; OPT_ENOMEM. */
opt_status opt__safetensors_write(opt_ctx *ctx, const char *path, const opt__named *tensors, int64_t n,
                                  void (*describe)(opt__text *t, const void *arg), const void *arg);

/* ---- Reading ------------------------------------------------------------------------------------------- */

/* A tensor found in a file. */
typedef struct opt__entry {
    const char *name;
    uint32_t shape;     /* where its "[2,3]" is in the header */
    uint32_t dtype;     /* for the functions below */
    int64_t begin, end; /* its bytes, in the data */
    void *to; /* [end - begin] where opt__safetensors_read puts them as they are; NULL: not wanted */
} opt__entry;

typedef struct opt__safetensors {
    opt__file file;
    char *header; /* [length], strings decoded, and a NUL */
    int64_t length;
    opt__entry *entry;            /* [n], as in the header */
    uint32_t *by_place, *by_name; /* [n], their numbers in the order of their data, and of their names */
    int64_t n;
    const char **pair; /* [2 npairs], key and text of the metadata */
    int64_t npairs;
    bool has_sum;
    uint32_t sum;        /* what the file says */
    uint32_t header_sum; /* the state of the sum behind the header */
} opt__safetensors;

/* Opens a file and checks all of its header. OPT_EFORMAT says what is wrong and where; OPT_EIO; OPT_ENOMEM.
 */
opt_status opt__safetensors_open(opt_ctx *ctx, const char *path, opt__safetensors *out);
void opt__safetensors_close(opt__safetensors *st);

/* NULL when there is none of that name, or key, which is group and name end to end. */
opt__entry *opt__safetensors_find(const opt__safetensors *st, const char *name);
const char *opt__safetensors_text(const opt__safetensors *st, const char *group, const char *name);

/* The shape, as far as it has room: *ndim dimensions, the first OPT_MAX_DIMS of them in dim. */
void opt__entry_shape(const opt__safetensors *st, const opt__entry *e, int64_t *ndim, int64_t *dim);

/* What dtypes are called and the bytes of an element. These come first among them: */
enum { OPT__ST_F16, OPT__ST_BF16, OPT__ST_F32, OPT__ST_F64 };
const char *opt__dtype_text(uint32_t dtype);
int opt__dtype_size(uint32_t dtype);

/* Reads the data of the entries that have a `to`, or all of it where there is a sum to be checked, once and
 * from begin to end. */
opt_status opt__safetensors_read(opt__safetensors *st);

/* t's elements <- those of an entry that has been read, from its element `first` on, which is F16, BF16, F32
 * or F64; of t's own dtype bit by bit. */
void opt__entry_copy(const opt__entry *e, int64_t first, const opt_tensor *t);

#endif
