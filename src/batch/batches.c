/* SPDX-License-Identifier: MIT
 *
 * Shuffling and partitioning.
 */
#include "batch/batches.h"

#include "tensor/tensor.h"

static opt_status check_source(opt_ctx *ctx, const opt_source *s)
{
    if (s == NULL)
        return opt__fail(ctx, OPT_EINVAL, "batches: source is NULL");
    if (opt__is_table(s)) {
        opt_status bad = opt__check_table(ctx, s->ud);
        opt_source now;

        if (bad)
            return bad;
        now = opt_source_table(s->ud);
        if (s->rows > now.rows || s->x_cols != now.x_cols || s->y_cols != now.y_cols || s->dtype != now.dtype)
            return opt__fail(ctx, OPT_ESHAPE,
                             "batches: the table has another shape than when its source was made");
    }
    if (s->read == NULL)
        return opt__fail(ctx, OPT_EINVAL, "batches: the source has no read");
    if (s->rows < 1)
        return opt__fail(ctx, OPT_EINVAL, "batches: the source has no rows");
    if (s->x_cols < 1)
        return opt__fail(ctx, OPT_EINVAL, "batches: the source's x_cols = %lld is below 1",
                         (long long)s->x_cols);
    if (s->y_cols < 0)
        return opt__fail(ctx, OPT_EINVAL, "batches: the source's y_cols = %lld is below 0",
                         (long long)s->y_cols);
    if (s->dtype != OPT_F32 && s->dtype != OPT_F64)
        return opt__fail(ctx, OPT_EDTYPE, "batches: the source's dtype = %d is neither OPT_F32 nor OPT_F64",
                         (int)s->dtype);
    return OPT_OK;
}

typedef struct part_rows {
    int64_t first, n;
} part_rows;

/* Which of a batch's rows are a rank's: opt_batch says how they are shared. */
static part_rows rows_of(const opt_batches *b, int64_t rows, int rank)
{
    const int64_t chunk = b->opts.chunk;
    int64_t first = 0, chunks = (rows - 1) / chunk + 1, n; /* of a subtree, */
    int ranks = b->ranks;                                  /* shared by so many, of which this is `rank` */

    while (ranks > 1 && chunks > 1) {
        const int half = ranks - ranks / 2;
        int64_t left = 1;

        while (2 * left < chunks)
            left *= 2;
        if (rank < half) {
            chunks = left;
            ranks = half;
        } else {
            first += left;
            chunks -= left;
            rank -= half;
            ranks -= half;
        }
    }
    n = chunks * chunk < rows - first * chunk ? chunks * chunk : rows - first * chunk;
    return (part_rows){first * chunk, ranks == 1 || rank == 0 ? n : 0};
}

static opt_status allocate(opt_batches *b)
{
    const int64_t rest = b->source.rows % b->opts.size, whole = rows_of(b, b->opts.size, b->rank).n;
    const int64_t last = rest > 0 && !b->opts.drop_last ? rows_of(b, rest, b->rank).n : 0;
    const int64_t most = whole > last ? whole : last, rows = most > 0 ? most : 1;
    opt_status s = opt_tensor_new(b->ctx, b->source.dtype, 2, (int64_t[]){rows, b->source.x_cols}, &b->x);

    if (!s && b->source.y_cols > 0)
        s = opt_tensor_new(b->ctx, b->source.dtype, 2, (int64_t[]){rows, b->source.y_cols}, &b->y);
    if (s)
        return s;
    b->order = opt__alloc(b->ctx, b->source.rows, sizeof *b->order);
    b->ahead = opt__alloc(b->ctx, OPT__ABREAST, sizeof *b->ahead);
    return b->order && b->ahead ? OPT_OK : opt__no_memory(b->ctx, "batches");
}

static opt_status make(opt_ctx *ctx, const opt_source *source, const opt_batches_opts *opts, bool whole,
                       opt_batches **out)
{
    opt_status s = opt__enter(ctx);
    opt_batches_opts given = opts ? *opts : (opt_batches_opts){0};
    opt_batches *b;

    if (s)
        return s;
    if (out == NULL)
        return opt__fail(ctx, OPT_EINVAL, "batches: out is NULL");
    s = check_source(ctx, source);
    if (s)
        return s;
    if (given.size == 0)
        given.size = source->rows < 64 ? source->rows : 64;
    if (given.size < 1 || given.size > source->rows)
        return opt__fail(ctx, OPT_EINVAL, "batches: size = %lld is outside [1, %lld], the rows there are",
                         (long long)given.size, (long long)source->rows);
    if (given.chunk == 0)
        given.chunk = OPT__BATCH_CHUNK;
    if (given.chunk < 1 || given.chunk > OPT__BATCH_CHUNK)
        return opt__fail(ctx, OPT_EINVAL, "batches: chunk = %lld is outside [1, %lld]",
                         (long long)given.chunk, (long long)OPT__BATCH_CHUNK);

    b = opt__alloc(ctx, 1, sizeof *b);
    if (b == NULL)
        return opt__no_memory(ctx, "batches");
    *b = (opt_batches){.ctx = ctx, .source = *source, .opts = given, .rank = 0, .ranks = 1};
    if (!whole) {
        b->rank = ctx->comm.rank;
        b->ranks = ctx->comm.size;
    }
    s = allocate(b);
    if (s) {
        opt_batches_free(b);
        return s;
    }
    *out = b;
    return OPT_OK;
}

opt_status opt_batches_new(opt_ctx *ctx, const opt_source *source, const opt_batches_opts *opts,
                           opt_batches **out)
{
    return make(ctx, source, opts, false, out);
}

opt_status opt__batches_new_whole(opt_ctx *ctx, const opt_source *source, const opt_batches_opts *opts,
                                  opt_batches **out)
{
    return make(ctx, source, opts, true, out);
}

void opt_batches_free(opt_batches *b)
{
    if (b != NULL) {
        opt_tensor_free(b->ctx, &b->x);
        opt_tensor_free(b->ctx, &b->y);
        opt__free(b->ctx, b->order);
        opt__free(b->ctx, b->ahead);
        opt__free(b->ctx, b);
    }
}

int64_t opt_batches_count(const opt_batches *b)
{
    const int64_t whole = b ? b->source.rows / b->opts.size : 0;

    return b == NULL || b->opts.drop_last || b->source.rows % b->opts.size == 0 ? whole : whole + 1;
}

int64_t opt_batches_completed(const opt_batches *b)
{
    return b ? b->completed : 0;
}

int64_t opt__batch_rows(const opt_batches *b, int64_t index)
{
    const int64_t left = b->source.rows - index * b->opts.size;

    return left < b->opts.size ? left : b->opts.size;
}

/* order <- the random order of an epoch, by seed + epoch (mod 2^32). */
static void shuffle(opt_batches *b, int64_t epoch)
{
    if (b->first_ahead == 0 || epoch < b->first_ahead || epoch - b->first_ahead >= OPT__ABREAST) {
        opt__rng_seed_abreast(b->ahead, b->opts.seed + (uint32_t)epoch);
        b->first_ahead = epoch;
    }
    opt_rng rng = b->ahead[epoch - b->first_ahead]; /* a copy: the epoch may be begun again */
    opt_rng_permutation(&rng, b->source.rows, b->order);
}

opt_status opt_batches_begin(opt_batches *b, int64_t epoch)
{
    if (b == NULL)
        return OPT_EINVAL;
    if (epoch < 1)
        return opt__fail(b->ctx, OPT_EINVAL, "batches: epoch = %lld is below 1", (long long)epoch);
    if (b->opts.in_order) {
        for (int64_t i = 0; i < b->source.rows; i++)
            b->order[i] = i;
    } else {
        shuffle(b, epoch);
    }
    b->epoch = epoch;
    b->completed = epoch - 1;
    b->next = 0;
    b->loss_sum = 0;
    b->last_loss = 0;
    b->loss_rows = 0;
    return OPT_OK;
}

/* Part of what read_part reads, from a table: that can be done by several threads. */
typedef struct reading {
    opt_batches *b;
    const int64_t *order;
    int64_t rows, step;
} reading;

static void read_rows(void *arg, int64_t i, int thread)
{
    const reading *r = arg;
    const int64_t first = i * r->step, n = r->rows - first < r->step ? r->rows - first : r->step;
    opt_tensor x = opt_tensor_rows(&r->b->x, first, n), y = opt_tensor_rows(&r->b->y, first, n);

    (void)thread;
    (void)r->b->source.read(r->b->source.ud, r->order + first, n, &x, &y); /* a table's never fails */
}

/* Whether the rows are many enough to be shared among threads; then they have been read. */
static bool read_together(opt_batches *b, const int64_t *order, int64_t rows)
{
    const double bytes = (double)rows * (double)b->source.x_cols * (double)opt__size(b->source.dtype);
    const int64_t parts = 2 * (int64_t)b->ctx->threads < rows ? 2 * (int64_t)b->ctx->threads : rows;
    reading r = {b, order, rows, (rows - 1) / parts + 1};

    if (b->ctx->threads == 1 || bytes < 0x1p15 || !opt__is_table(&b->source))
        return false;
    opt__parallel(b->ctx, (rows - 1) / r.step + 1, read_rows, &r);
    return true;
}

/* Reads rows order[0..n) into the buffers and points the part at them. */
static opt_status read_part(opt_batches *b, const int64_t *order, int64_t n, opt_batch *part)
{
    opt_tensor x = opt_tensor_rows(&b->x, 0, n), y = opt_tensor_rows(&b->y, 0, n);
    opt_status s = OPT_OK;

    part->x = x;
    part->y = y;
    b->ctx->message[0] = '\0'; /* the source may leave one, or not */
    if (n > 0 && !read_together(b, order, n))
        s = b->source.read(b->source.ud, order, n, &x, &y);
    if (s == OPT_END ||
        s == OPT_STOP) /* not for a source to say: the caller would take it for the epoch's end */
        s = OPT_EIO;
    if (s)
        return opt__fail(b->ctx, s, "batches: reading batch %lld of epoch %lld failed: %s",
                         (long long)b->next + 1, (long long)b->epoch,
                         b->ctx->message[0] ? b->ctx->message : opt_strerror(s));
    return OPT_OK;
}

opt_status opt_batches_next(opt_batches *b, opt_batch *out)
{
    opt_batch part;
    part_rows mine;
    int64_t rows;
    opt_status s;

    if (b == NULL)
        return OPT_EINVAL;
    if (out == NULL)
        return opt__fail(b->ctx, OPT_EINVAL, "batches: out is NULL");
    if (b->epoch == 0)
        return opt__fail(b->ctx, OPT_EINVAL, "batches: opt_batches_begin comes first");
    if (b->next == opt_batches_count(b)) {
        b->completed = b->epoch;
        return OPT_END;
    }
    rows = opt__batch_rows(b, b->next);
    mine = rows_of(b, rows, b->rank);
    part = (opt_batch){.index = b->next, .global_rows = rows, .chunk = b->opts.chunk};
    s = read_part(b, b->order + b->next * b->opts.size + mine.first, mine.n, &part);
    if (s)
        return s;
    b->next++;
    *out = part;
    return OPT_OK;
}
