#include "acme/answers.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"

#define KEY_MAX 256

struct answer {
    struct list node;
    struct tls_identity *identity; /* counted; NULL: it is a text */
    size_t key_size, text_size;
    char key[KEY_MAX];
    char text[ACME_ANSWER_MAX];
};

struct acme_answers {
    pthread_mutex_t mutex;
    struct list answers; /* owned; a few, while orders are under way */
};

struct acme_answers *acme_answers_new(void)
{
    struct acme_answers *answers = calloc(1, sizeof *answers);
    if (!answers)
        return NULL;
    pthread_mutex_init(&answers->mutex, NULL);
    list_init(&answers->answers);
    return answers;
}

static void free_answer(struct answer *answer)
{
    list_remove(&answer->node);
    tls_identity_unref(answer->identity);
    free(answer);
}

void acme_answers_free(struct acme_answers *answers)
{
    if (!answers)
        return;
    list_each (node, &answers->answers)
        free_answer(list_entry(node, struct answer, node));
    pthread_mutex_destroy(&answers->mutex);
    free(answers);
}

static struct answer *find(struct acme_answers *answers, struct slice key)
{
    list_each (node, &answers->answers) {
        struct answer *answer = list_entry(node, struct answer, node);
        if (slice_equal(slice_of(answer->key, answer->key_size), key))
            return answer;
    }
    return NULL;
}

static enum status add(struct acme_answers *answers, struct slice key, struct slice text,
    struct tls_identity *identity)
{
    if (key.size > KEY_MAX || text.size > ACME_ANSWER_MAX)
        return TOO_LARGE;
    struct answer *answer = calloc(1, sizeof *answer);
    if (!answer)
        return NO_MEMORY;
    answer->key_size = key.size;
    answer->text_size = text.size;
    memcpy(answer->key, key.data, key.size);
    if (text.size)
        memcpy(answer->text, text.data, text.size);
    answer->identity = identity ? tls_identity_ref(identity) : NULL;
    pthread_mutex_lock(&answers->mutex);
    struct answer *old = find(answers, key);
    if (old)
        free_answer(old);
    list_push_back(&answers->answers, &answer->node);
    pthread_mutex_unlock(&answers->mutex);
    return OK;
}

enum status acme_answers_put(
    struct acme_answers *answers, struct slice token, struct slice authorization)
{
    return add(answers, token, authorization, NULL);
}

enum status acme_answers_show(
    struct acme_answers *answers, struct slice name, struct tls_identity *identity)
{
    return add(answers, name, SLICE_NONE, identity);
}

void acme_answers_drop(struct acme_answers *answers, struct slice key)
{
    pthread_mutex_lock(&answers->mutex);
    struct answer *answer = find(answers, key);
    if (answer)
        free_answer(answer);
    pthread_mutex_unlock(&answers->mutex);
}

bool acme_answers_find(struct acme_answers *answers, struct slice token,
    char ret_text[ACME_ANSWER_MAX], size_t *ret_size)
{
    pthread_mutex_lock(&answers->mutex);
    const struct answer *answer = find(answers, token);
    bool is_found = answer && !answer->identity;
    if (is_found) {
        memcpy(ret_text, answer->text, answer->text_size);
        *ret_size = answer->text_size;
    }
    pthread_mutex_unlock(&answers->mutex);
    return is_found;
}

struct tls_identity *acme_answers_identity(void *argument, struct slice name)
{
    struct acme_answers *answers = argument;
    pthread_mutex_lock(&answers->mutex);
    const struct answer *answer = find(answers, name);
    struct tls_identity *identity =
        answer && answer->identity ? tls_identity_ref(answer->identity) : NULL;
    pthread_mutex_unlock(&answers->mutex);
    return identity;
}
