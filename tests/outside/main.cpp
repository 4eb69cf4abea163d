/* SPDX-License-Identifier: MIT
 *
 * The same from C++17, with a method of its own and a call that may need zlib.
 */
#include <cmath>
#include <cstdio>
#include <memory>
#include <string>

#include <opt.h>

namespace
{

opt_status sign_descent(const opt_update *u)
{
    for (int64_t i = 0; i < opt_tensor_len(&u->w); i++) {
        const double g = opt_get(&u->g, i);
        opt_set(&u->w, i, opt_get(&u->w, i) - u->lr * ((g > 0) - (g < 0)));
    }
    return OPT_OK;
}

opt_method make_sign()
{
    opt_method m{};
    m.name = "sign";
    m.update = sign_descent;
    return m;
}

int failed(const char *what, const char *why)
{
    std::fprintf(stderr, "%s: %s\n", what, why);
    return 1;
}

} // namespace

int main()
{
    const std::unique_ptr<opt_ctx, decltype(&opt_ctx_free)> ctx(opt_ctx_new(nullptr), opt_ctx_free);
    const opt_method sign = make_sign();
    const int64_t two = 2;
    double w[2] = {1, -1}, g[2] = {0.5, -0.5};
    opt_param param{};
    opt_optim_opts opts{};
    opt_optim *optim = nullptr;
    opt_tensor digits{};

    param.name = "w";
    param.value = opt_tensor_view(OPT_F64, w, 1, &two);
    param.grad = opt_tensor_view(OPT_F64, g, 1, &two);
    opts.lr = 0.25;
    opt_status s = opt_optim_new(ctx.get(), &sign, nullptr, &opts, opt_params{&param, 1}, &optim);
    for (int i = 0; i < 3 && !s; i++)
        s = opt_optim_step(optim);
    opt_optim_free(optim);
    if (s || std::fabs(w[0] - 0.25) > 1e-12 || std::fabs(w[1] + 0.25) > 1e-12)
        return failed("stepping", opt_errmsg(ctx.get()));

    if (opt_read_idx(ctx.get(), "no/such/file.gz", OPT_F32, &digits) != OPT_EIO)
        return failed("a file that is not there", opt_errmsg(ctx.get()));

    if (opt_version() != std::string(OPT_VERSION) || opt_version() != std::string(VERSION))
        return failed("version", opt_version());
    return 0;
}
