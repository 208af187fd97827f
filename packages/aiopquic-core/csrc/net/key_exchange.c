#include "net/key_exchange.h"

#include <picoquic_internal.h>
#include <picotls.h>
#include <tls_api.h>

#include "aiopquic/engine.h"

#include <picoquic_crypto_provider_api.h>

static bool is_hybrid(const ptls_key_exchange_algorithm_t *algorithm)
{
    /* IANA gives the ML-KEM groups, alone and in hybrids, these two ranges. */
    return (algorithm->id >= 0x0200 && algorithm->id <= 0x0204) ||
           (algorithm->id >= 0x11eb && algorithm->id <= 0x11ed);
}

/* picotls makes one key share, of the first group. A peer without post-quantum groups and without
 * HelloRetryRequest could not answer a hybrid one, so the classic groups go first. */
static size_t choose_all(ptls_key_exchange_algorithm_t **chosen)
{
    size_t count = 0;
    for (int hybrids = 0; hybrids <= 1; hybrids++) {
        for (size_t i = 0; picoquic_key_exchanges[i] != NULL && count < AIOPQ_KEY_EXCHANGE_MAX; i++) {
            if (is_hybrid(picoquic_key_exchanges[i]) == (hybrids == 1)) {
                chosen[count++] = picoquic_key_exchanges[i];
            }
        }
    }
    chosen[count] = NULL;
    return count;
}

static ptls_key_exchange_algorithm_t *find(uint16_t group)
{
    size_t i = 0;
    while (picoquic_key_exchanges[i] != NULL && picoquic_key_exchanges[i]->id != group) {
        i++;
    }
    return picoquic_key_exchanges[i];
}

aiopq_status_t aiopq_choose_key_exchanges(const uint16_t *groups, ptls_key_exchange_algorithm_t **chosen)
{
    size_t count = 0;
    for (; count < AIOPQ_KEY_EXCHANGE_MAX && groups[count] != 0; count++) {
        chosen[count] = find(groups[count]);
        if (chosen[count] == NULL) {
            return AIOPQ_UNKNOWN_ALGORITHM;
        }
    }
    chosen[count] = NULL;
    if (count == 0) {
        (void)choose_all(chosen);
    }
    return AIOPQ_OK;
}

size_t aiopq_key_exchange_groups(uint16_t *groups)
{
    ptls_key_exchange_algorithm_t *all[AIOPQ_KEY_EXCHANGE_MAX + 1];
    picoquic_tls_api_init(); /* registers what OpenSSL has, once per process */
    size_t count = choose_all(all);
    for (size_t i = 0; i < count; i++) {
        groups[i] = all[i]->id;
    }
    return count;
}
