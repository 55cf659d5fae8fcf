#include "service/release.h"

#include "service/call.h"
#include "service/fallback.h"
#include "service/mirror.h"
#include "service/versions.h"

enum status service_call(const struct service *service, struct exchange *x)
{
    enum status e = service->is_composed ? release_call(service, x) : call_run(service, x);
    if (!e || !service->options->fallback.is_set)
        return e;
    x->evidence = EVIDENCE_NONE;
    return fallback_answer(service, x, e);
}

static enum status call_version(const struct service *service, struct exchange *x)
{
    struct version_choice choice = versions_choose(service->versions, x);
    if (!x->is_rehearsal)
        versions_count(service->versions, &choice, x->worker);
    if (choice.version->service->trial && !x->is_copy && versions_is_evidence(&choice))
        x->evidence = EVIDENCE_WANTED;
    enum status e = service_call(choice.version->service, x);
    if (!e)
        versions_keep_user(service->versions, &choice, x);
    return e;
}

enum status release_call(const struct service *service, struct exchange *x)
{
    struct mirror_pair *pair = service->mirror ? mirror_begin(service->mirror, x) : NULL;
    enum status e = service->versions ? call_version(service, x) : call_run(service, x);
    mirror_answered(pair, x, e);
    return e;
}
