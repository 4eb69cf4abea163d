/* SPDX-License-Identifier: MIT */
#include "support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void support_assert_close(double x, double y, double tol, const char *what, const char *file, int line)
{
    if (!(fabs(x - y) <= tol)) {
        print_error("%s is %.17g, not %.17g (off by %g, allowed %g)\n", what, x, y, fabs(x - y), tol);
        _fail(file, line);
    }
}

void support_assert_ok(const opt_ctx *ctx, opt_status s, const char *what, const char *file, int line)
{
    if (s != OPT_OK) {
        print_error("%s: %s: %s\n", what, opt_strerror(s), opt_errmsg(ctx));
        _fail(file, line);
    }
}

void support_assert_fails(const opt_ctx *ctx, opt_status s, opt_status status, const char *part,
                          const char *what, const char *file, int line)
{
    if (s != status || strstr(opt_errmsg(ctx), part) == NULL) {
        print_error("%s: got '%s' with message '%s', not '%s' with '%s'\n", what, opt_strerror(s),
                    opt_errmsg(ctx), opt_strerror(status), part);
        _fail(file, line);
    }
}

opt_tensor golden(opt_ctx *ctx, const char *name, ...)
{
    char path[1024];
    opt_tensor t = {0};
    size_t used = (size_t)snprintf(path, sizeof path, "%s/", GOLDEN_DIR);
    va_list args;

    va_start(args, name);
    vsnprintf(path + used, sizeof path - used, name, args);
    va_end(args);
    assert_ok(ctx, opt_read_npy(ctx, path, &t));
    return t;
}

double largest_difference(const opt_tensor *a, const opt_tensor *b)
{
    double worst = 0;

    assert_int_equal(opt_tensor_len(a), opt_tensor_len(b));
    for (int64_t i = 0; i < opt_tensor_len(a); i++) {
        const double d = fabs(opt_get(a, i) - opt_get(b, i));
        worst = d <= worst ? worst : isnan(d) ? HUGE_VAL : d;
    }
    return worst;
}

bool same_bits(opt_params a, opt_params b)
{
    if (a.n != b.n)
        return false;
    for (int i = 0; i < a.n; i++) {
        const opt_tensor *x = &a.at[i].value, *y = &b.at[i].value;
        const size_t size = x->dtype == OPT_F32 ? sizeof(float) : sizeof(double);

        if (x->dtype != y->dtype || opt_tensor_len(x) != opt_tensor_len(y) ||
            memcmp(x->data, y->data, (size_t)opt_tensor_len(x) * size) != 0)
            return false;
    }
    return true;
}

static void *count_alloc(void *ud, void *p, size_t old_size, size_t new_size)
{
    count *c = ud;

    if (new_size == 0) {
        if (p != NULL) {
            c->live--;
            c->bytes -= old_size;
        }
        free(p);
        return NULL;
    }
    if (c->fail_from >= 0 && (c->calls == c->fail_from || (c->fail_all && c->calls > c->fail_from))) {
        c->calls++;
        return NULL;
    }
    c->calls++;
    c->live++;
    c->bytes += new_size;
    c->peak = c->bytes > c->peak ? c->bytes : c->peak;
    return malloc(new_size);
}

void count_init(count *c)
{
    *c = (count){.allocator = {count_alloc, c}, .fail_from = -1};
}
