#include "net/id_maker.h"

#include <stdlib.h>
#include <string.h>
#include <tls_api.h>

#include "net/workers.h"

#define CIPHER_BLOCK 16u

/* The first octet of a QUIC-LB id: three bits of configuration rotation, five of length or of chance. */
#define ROTATION_SHIFT 5
#define LENGTH_VALUES 32u
#define ROTATION_MAX 6u /* 7 says that an id can't be routed */
#define NONCE_MIN 4u
#define IDS_MAX 19u /* server id and nonce, behind the first octet */

struct aiopq_id_maker {
    uint32_t workers, worker; /* 1 and 0 for an engine that has its port alone */
    aiopq_quic_lb_t lb;       /* server_id_length is 0 without QUIC-LB */
    void *cipher;             /* owned; NULL without a key */
    /* The next nonce: none may come twice under one key. Workers, which have one server id, count in steps of their
     * number. */
    uint64_t nonce;
    bool has_nonce; /* the count begins somewhere random, with the first id */
};

uint8_t aiopq_id_length(const aiopq_config_t *config)
{
    const aiopq_quic_lb_t *lb = &config->quic_lb;
    return lb->server_id_length > 0 ? (uint8_t)(1 + lb->server_id_length + lb->nonce_length)
                                    : config->connection_id_length;
}

static bool is_possible(const aiopq_quic_lb_t *lb, uint32_t workers)
{
    if (lb->server_id_length == 0) {
        return workers <= AIOPQ_WORKERS_MAX;
    }
    return lb->rotation <= ROTATION_MAX && lb->server_id_length <= AIOPQ_QUIC_LB_SERVER_ID_MAX &&
           lb->nonce_length >= NONCE_MIN && lb->server_id_length + lb->nonce_length <= IDS_MAX &&
           (workers == 1 || (workers <= AIOPQ_WORKERS_MAX_QUIC_LB && !lb->encodes_length));
}

aiopq_status_t aiopq_id_maker_new(const aiopq_config_t *config, aiopq_id_maker_t **result)
{
    const aiopq_quic_lb_t *lb = &config->quic_lb;
    uint32_t workers = config->workers != NULL ? config->workers->count : 1;
    *result = NULL;
    if (config->is_client || (lb->server_id_length == 0 && workers == 1)) {
        return config->is_client && lb->server_id_length > 0 ? AIOPQ_INVALID : AIOPQ_OK;
    }
    if (!is_possible(lb, workers) || config->worker >= workers) {
        return AIOPQ_INVALID;
    }
    aiopq_id_maker_t *maker = calloc(1, sizeof(*maker));
    if (maker == NULL) {
        return AIOPQ_NO_MEMORY;
    }
    maker->workers = workers;
    maker->worker = config->worker;
    maker->lb = *lb;
    if (lb->server_id_length > 0 && lb->has_key &&
        (maker->cipher = picoquic_aes128_ecb_create(1, lb->key)) == NULL) {
        free(maker);
        return AIOPQ_FAILED;
    }
    *result = maker;
    return AIOPQ_OK;
}

void aiopq_id_maker_free(aiopq_id_maker_t *maker)
{
    if (maker != NULL) {
        if (maker->cipher != NULL) {
            picoquic_aes128_ecb_free(maker->cipher);
        }
        free(maker);
    }
}

/* One of the bytes from `low` on, `span` of them, that are the worker's, as `random` chooses. */
static uint8_t own_byte(const aiopq_id_maker_t *maker, uint32_t low, uint32_t span, uint8_t random)
{
    uint32_t first = (maker->worker + maker->workers - low % maker->workers) % maker->workers;
    uint32_t choices = (span - 1 - first) / maker->workers + 1;
    return (uint8_t)(low + first + random % choices * maker->workers);
}

static uint8_t first_octet(const aiopq_id_maker_t *maker, const picoquic_connection_id_t *id)
{
    if (maker->lb.server_id_length == 0) {
        return own_byte(maker, 0, AIOPQ_WORKERS_MAX, id->id[0]);
    }
    uint32_t low = (uint32_t)maker->lb.rotation << ROTATION_SHIFT;
    return maker->lb.encodes_length ? (uint8_t)(low + id->id_len - 1)
                                    : own_byte(maker, low, LENGTH_VALUES, id->id[0]);
}

/* The nonce is one number with its least significant byte last; of a long one the bytes in front stay random. */
static void write_nonce(aiopq_id_maker_t *maker, uint8_t *nonce, size_t length)
{
    size_t counted = length < sizeof(maker->nonce) ? length : sizeof(maker->nonce);
    uint8_t *last = nonce + length - 1;
    if (!maker->has_nonce) {
        maker->has_nonce = true;
        for (size_t i = 0; i < counted; i++) {
            maker->nonce = maker->nonce << 8 | last[-(ptrdiff_t)i];
        }
        maker->nonce += maker->worker + maker->workers - maker->nonce % maker->workers;
    }
    for (size_t i = 0; i < counted; i++) {
        last[-(ptrdiff_t)i] = (uint8_t)(maker->nonce >> (8 * i));
    }
    maker->nonce += maker->workers;
}

void aiopq_make_id(picoquic_quic_t *quic, picoquic_connection_id_t local, picoquic_connection_id_t remote,
                   void *context, picoquic_connection_id_t *id)
{
    aiopq_id_maker_t *maker = context;
    (void)quic;
    (void)local;
    (void)remote;
    id->id[0] = first_octet(maker, id);
    if (maker->lb.server_id_length > 0) {
        uint8_t *nonce = id->id + 1 + maker->lb.server_id_length;
        memcpy(id->id + 1, maker->lb.server_id, maker->lb.server_id_length);
        if (maker->cipher != NULL) { /* without a key it must look random, and is */
            write_nonce(maker, nonce, maker->lb.nonce_length);
            aiopq_quic_lb_encrypt(maker->cipher, id->id + 1,
                                  (size_t)maker->lb.server_id_length + maker->lb.nonce_length);
        }
    }
}

/* ---- encryption ---- */

/* One pass: *changed ^= AES(other half, length and number of the pass). Of an odd length each half has four bits of the
 * byte in the middle: the upper ones on the left, the lower ones on the right. */
static void pass(void *cipher, uint8_t *changed, const uint8_t *other, size_t half, uint8_t length,
                 uint8_t number, const uint8_t *mask)
{
    uint8_t block[CIPHER_BLOCK] = {0};
    memcpy(block, other, half);
    block[CIPHER_BLOCK - 2] = length;
    block[CIPHER_BLOCK - 1] = number;
    picoquic_aes128_ecb_encrypt(cipher, block, block, sizeof(block));
    for (size_t i = 0; i < half; i++) {
        changed[i] ^= block[i] & mask[i];
    }
}

void aiopq_quic_lb_encrypt(void *cipher, uint8_t *block, size_t length)
{
    if (length == CIPHER_BLOCK) {
        picoquic_aes128_ecb_encrypt(cipher, block, block, CIPHER_BLOCK);
        return;
    }
    size_t half = (length + 1) / 2;
    bool is_odd = length % 2 != 0;
    uint8_t left[CIPHER_BLOCK], right[CIPHER_BLOCK], left_mask[CIPHER_BLOCK], right_mask[CIPHER_BLOCK];
    memset(left_mask, 0xff, sizeof(left_mask));
    memset(right_mask, 0xff, sizeof(right_mask));
    memcpy(left, block, half);
    memcpy(right, block + length - half, half);
    if (is_odd) {
        left[half - 1] &= left_mask[half - 1] = 0xf0;
        right[0] &= right_mask[0] = 0x0f;
    }
    pass(cipher, right, left, half, (uint8_t)length, 1, right_mask);
    pass(cipher, left, right, half, (uint8_t)length, 2, left_mask);
    pass(cipher, right, left, half, (uint8_t)length, 3, right_mask);
    pass(cipher, left, right, half, (uint8_t)length, 4, left_mask);
    memcpy(block + length - half, right, half);
    if (is_odd) {
        left[half - 1] |= right[0];
    }
    memcpy(block, left, half);
}
