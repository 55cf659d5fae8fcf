#include "balance/balancer.h"

#define BALANCER(name) extern const struct balancer_type name##_balancer;
#include "balance/balancers.def"
#undef BALANCER

const struct balancer_type *const balancer_types[] = {
#define BALANCER(name) &name##_balancer,
#include "balance/balancers.def"
#undef BALANCER
    NULL};

const struct balancer_type *balancer_type_of(struct slice name)
{
    for (size_t i = 0; balancer_types[i]; i++)
        if (slice_equal(name, slice_of_text(balancer_types[i]->name)))
            return balancer_types[i];
    return NULL;
}
