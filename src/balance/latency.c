#include "balance/latency.h"

#define RELAXED memory_order_relaxed

/* Two workers may move it at the same time; then one of the samples is lost, which an average can
 * bear. */

/* How much an old value still counts: 1 at first, 1/e after LATENCY_MEMORY. Close to exp(-t), and
 * cheaper, which picking needs. */
static double fading(int64_t nanoseconds)
{
    if (nanoseconds <= 0)
        return 1;
    double t = (double)nanoseconds / (double)(8 * LATENCY_MEMORY);
    double part = 1 / (1 + t * (1 + t * 0.5));
    part *= part;
    part *= part;
    return part * part;
}

static int64_t time_since(const struct load *load, instant now)
{
    return now - atomic_load_explicit(&load->measured, RELAXED);
}

static void store(_Atomic uint64_t *average, double value)
{
    atomic_store_explicit(average, value < 1 ? 1 : (uint64_t)value, RELAXED);
}

static void move(struct load *load, int64_t nanoseconds, instant now)
{
    double old = (double)atomic_load_explicit(&load->latency, RELAXED);
    double peak = (double)atomic_load_explicit(&load->peak, RELAXED), sample = (double)nanoseconds;
    double kept = fading(time_since(load, now));
    double new_part = 1 - kept > 1.0 / 8 ? 1 - kept : 1.0 / 8; /* what is old counts less */
    store(&load->latency, old > 0 ? old + (sample - old) * new_part : sample);
    store(&load->peak, sample >= peak ? sample : peak * kept + sample * (1 - kept));
    atomic_store_explicit(&load->measured, now, RELAXED);
}

void latency_answered(struct load *load, int64_t nanoseconds, instant now)
{
    double old = (double)atomic_load_explicit(&load->good, RELAXED), sample = (double)nanoseconds;
    store(&load->good, old > 0 ? old + (sample - old) / 8 : sample);
    move(load, nanoseconds, now);
}

void latency_lasted(struct load *load, int64_t nanoseconds, instant now)
{
    if (nanoseconds > 0 && (double)nanoseconds > latency_average(load, now))
        move(load, nanoseconds, now);
}

void latency_failed(struct load *load, int64_t nanoseconds, instant now)
{
    double sample = 2 * latency_peak(load, now), took = (double)nanoseconds;
    sample = sample < (double)LATENCY_FAILURE ? (double)LATENCY_FAILURE : sample;
    sample = sample > 30.0 * SECOND ? 30.0 * SECOND : sample;
    move(load, (int64_t)(took > sample ? took : sample), now);
}

static double average_of(const struct load *load, const _Atomic uint64_t *average, instant now)
{
    double value = (double)atomic_load_explicit(average, RELAXED);
    return value > 0 ? value * fading(time_since(load, now)) : 0;
}

double latency_average(const struct load *load, instant now)
{
    return average_of(load, &load->latency, now);
}

double latency_peak(const struct load *load, instant now)
{
    return average_of(load, &load->peak, now);
}
