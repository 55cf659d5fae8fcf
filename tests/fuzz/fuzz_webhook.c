/* A form's number, then fields as "Name: value" lines, a blank line, and a body: whatever they say,
 * nothing is good that our secrets have not signed. */
#include "base/must.h"
#include "policy/webhook_key.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_head(struct slice head, struct fields *fields)
{
    struct slice line;
    while (slice_split(&head, '\n', &line)) {
        size_t colon = slice_find(line, ':');
        (void)fields_add(
            fields, FIELD_OTHER, slice_head(line, colon), slice_trim(slice_from(line, colon + 1)));
    }
}

static void check(
    const struct webhook_form *form, const struct webhook_claim *claim, struct slice body)
{
    const char *why;
    struct webhook_key key;
    size_t which;
    bool is_whsec = form->secret == WEBHOOK_WHSEC;
    must(claim->count > 0 && claim->count <= WEBHOOK_SIGNATURES_MAX);
    must(claim->id.size <= WEBHOOK_ID_MAX && claim->time >= 0);
    must(!webhook_key_read(form,
        is_whsec ? SLICE("whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=") : SLICE("a secret"),
        &key, &why));
    must(webhook_keys_verify(form, &key, 1, claim, body, &which) == NOT_FOUND);
    webhook_key_release(&key);
    (void)webhook_claim_check_time(form, claim, 1800000000, 300);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice input = slice_of((const char *)data, size);
    size_t forms = 0, cut = slice_find_slice(input, SLICE("\n\n"));
    struct webhook_claim claim;
    struct fields fields;
    struct arena arena;
    if (size == 0)
        return 0;
    do
        forms++;
    while (webhook_forms[forms].word);
    const struct webhook_form *form = &webhook_forms[data[0] % forms];
    arena_init(&arena, 0, 0);
    fields_init(&fields, &arena);
    read_head(slice_from(slice_head(input, cut), 1), &fields);
    enum webhook_fault fault = webhook_claim_read(form, &fields, &claim);
    must(fault < WEBHOOK_FAULT_COUNT && fault != WEBHOOK_WRONG);
    if (!fault)
        check(form, &claim, slice_from(input, cut + 2));
    arena_release(&arena);
    return 0;
}
