#include "service/admission.h"

#include <math.h>

double admission_pressure(
    const struct admission *admission, const struct admission_options *options, instant now)
{
    struct window_sum sum = window_sum(&admission->good, options->window, now);
    if (sum.all < options->volume)
        return 0;
    double missing = sum.all - sum.hits / options->success;
    if (missing <= 0)
        return 0;
    double part = pow(missing / (sum.all + 1.0), 1 / options->aggression);
    return part < options->most ? part : options->most;
}

/* From the lowest up: each gives what those below could not. */
double admission_share(const struct admission *admission, const struct admission_options *options,
    unsigned rank, instant now)
{
    double come[ADMISSION_RANKS], all = 0;
    double pressure = admission_pressure(admission, options, now);
    if (pressure <= 0)
        return 0;
    for (unsigned i = 0; i < ADMISSION_RANKS; i++)
        all += come[i] = window_sum(&admission->come[i], options->window, now).all;
    double left = pressure * all;
    for (unsigned i = ADMISSION_RANKS - 1; i > rank; i--) {
        double given = come[i] * options->most;
        left = left > given ? left - given : 0;
    }
    double share = come[rank] > 0 ? left / come[rank] : 0;
    return share < options->most ? share : options->most;
}

bool admission_passes(struct admission *admission, const struct admission_options *options,
    unsigned rank, instant now, uint64_t draw)
{
    double share = admission_share(admission, options, rank, now);
    bool is_shed = share > 0 && (double)(draw >> 11) * 0x1p-53 < share;
    window_add(&admission->come[rank], options->window, now, is_shed);
    return !is_shed;
}

void admission_learn(
    struct admission *admission, const struct admission_options *options, instant now, bool is_good)
{
    window_add(&admission->good, options->window, now, is_good);
}
