#include "net/initial_packet.h"

#include <picotls.h>
#include <picotls/openssl.h>
#include <string.h>

#include "net/reader.h"

#define SECRET_LENGTH 32 /* of SHA-256 */
#define KEY_LENGTH 16    /* of AES-128 */
#define IV_LENGTH 12
#define SAMPLE_LENGTH 16
#define NUMBER_LENGTH_MAX 4

/* What the two versions do differently (RFC 9001 section 5.2, RFC 9369 sections 3.2 and 3.3). */
typedef struct version_facts {
    uint32_t version;
    uint8_t initial_bits; /* the type bits of an Initial packet; the other types follow in a circle */
    uint8_t salt[20];
    const char *key_label, *iv_label, *hp_label;
} version_facts_t;

static const version_facts_t versions[] = {
    {AIOPQ_VERSION_1,
     0,
     {0x38, 0x76, 0x2c, 0xf7, 0xf5, 0x59, 0x34, 0xb3, 0x4d, 0x17,
      0x9a, 0xe6, 0xa4, 0xc8, 0x0c, 0xad, 0xcc, 0xbb, 0x7f, 0x0a},
     "quic key",
     "quic iv",
     "quic hp"},
    {AIOPQ_VERSION_2,
     1,
     {0x0d, 0xed, 0xe3, 0xde, 0xf7, 0x00, 0xa6, 0xdb, 0x81, 0x93,
      0x81, 0xbe, 0x6e, 0x26, 0x9d, 0xcb, 0xf9, 0xbd, 0x2e, 0xd9},
     "quicv2 key",
     "quicv2 iv",
     "quicv2 hp"},
};

static const version_facts_t *find_version(uint32_t version)
{
    for (size_t i = 0; i < sizeof(versions) / sizeof(versions[0]); i++) {
        if (versions[i].version == version) {
            return &versions[i];
        }
    }
    return NULL;
}

/* ---- the header ---- */

static const uint8_t *read_connection_id(aiopq_reader_t *reader, uint8_t *length)
{
    *length = (uint8_t)aiopq_read_number(reader, 1);
    if (*length > 20) {
        reader->is_bad = true; /* RFC 9000 section 17.2 */
    }
    return aiopq_read_run(reader, *length);
}

bool aiopq_read_long_header(const uint8_t *packet, size_t length, aiopq_long_header_t *header)
{
    aiopq_reader_t reader = aiopq_reader(packet, length);
    memset(header, 0, sizeof(*header));
    uint8_t first = (uint8_t)aiopq_read_number(&reader, 1);
    header->version = (uint32_t)aiopq_read_number(&reader, 4);
    const version_facts_t *facts = find_version(header->version);
    if (reader.is_bad || (first & 0x80) == 0 || facts == NULL) {
        return false;
    }
    header->type = (aiopq_long_type_t)(((first >> 4) - facts->initial_bits) & 3);
    header->destination = read_connection_id(&reader, &header->destination_length);
    header->source = read_connection_id(&reader, &header->source_length);
    if (header->type == AIOPQ_LONG_RETRY) {
        return false;
    }
    if (header->type == AIOPQ_LONG_INITIAL) {
        header->token_length = (size_t)aiopq_read_varint(&reader);
        header->token = aiopq_read_run(&reader, header->token_length);
    }
    size_t rest = (size_t)aiopq_read_varint(&reader);
    header->number_offset = (size_t)(reader.at - packet);
    (void)aiopq_read_run(&reader, rest);
    header->length = (size_t)(reader.at - packet);
    return !reader.is_bad;
}

/* ---- the payload ---- */

typedef struct initial_keys {
    uint8_t key[KEY_LENGTH], iv[IV_LENGTH], hp[KEY_LENGTH];
} initial_keys_t;

static bool expand(uint8_t *output, size_t length, const uint8_t *secret, const char *label)
{
    return ptls_hkdf_expand_label(&ptls_openssl_sha256, output, length,
                                  ptls_iovec_init(secret, SECRET_LENGTH), label, ptls_iovec_init(NULL, 0),
                                  NULL) == 0;
}

/* Those of the client: a server reads nothing else. */
static bool derive_keys(const version_facts_t *facts, const aiopq_long_header_t *header, initial_keys_t *keys)
{
    uint8_t initial_secret[SECRET_LENGTH], client_secret[SECRET_LENGTH];
    return ptls_hkdf_extract(&ptls_openssl_sha256, initial_secret,
                             ptls_iovec_init(facts->salt, sizeof(facts->salt)),
                             ptls_iovec_init(header->destination, header->destination_length)) == 0 &&
           expand(client_secret, sizeof(client_secret), initial_secret, "client in") &&
           expand(keys->key, sizeof(keys->key), client_secret, facts->key_label) &&
           expand(keys->iv, sizeof(keys->iv), client_secret, facts->iv_label) &&
           expand(keys->hp, sizeof(keys->hp), client_secret, facts->hp_label);
}

/* RFC 9001 section 5.4.3: the mask is the sample, encrypted. */
static bool header_mask(const initial_keys_t *keys, const uint8_t *sample, uint8_t mask[SAMPLE_LENGTH])
{
    ptls_cipher_context_t *cipher = ptls_cipher_new(&ptls_openssl_aes128ecb, 1, keys->hp);
    if (cipher == NULL) {
        return false;
    }
    ptls_cipher_encrypt(cipher, mask, sample, SAMPLE_LENGTH);
    ptls_cipher_free(cipher);
    return true;
}

size_t aiopq_open_initial(const aiopq_long_header_t *header, const uint8_t *packet, uint8_t *payload,
                          uint32_t *packet_number)
{
    const version_facts_t *facts = find_version(header->version);
    initial_keys_t keys;
    uint8_t mask[SAMPLE_LENGTH], clear[AIOPQ_INITIAL_PACKET_MAX];
    /* The sample stands where it would be behind the longest packet number. */
    size_t sample_offset = header->number_offset + NUMBER_LENGTH_MAX;
    if (facts == NULL || header->length > AIOPQ_INITIAL_PACKET_MAX ||
        header->length < sample_offset + SAMPLE_LENGTH || !derive_keys(facts, header, &keys) ||
        !header_mask(&keys, packet + sample_offset, mask)) {
        return 0;
    }
    uint8_t first = packet[0] ^ (mask[0] & 0x0f);
    size_t number_length = (size_t)(first & 3) + 1;
    size_t header_length = header->number_offset + number_length;
    memcpy(clear, packet, header_length);
    clear[0] = first;
    /* Nothing was received before, so the number is what is written (RFC 9000 appendix A.3). */
    *packet_number = 0;
    for (size_t i = 0; i < number_length; i++) {
        clear[header->number_offset + i] ^= mask[1 + i];
        *packet_number = (*packet_number << 8) | clear[header->number_offset + i];
    }
    ptls_aead_context_t *aead = ptls_aead_new_direct(&ptls_openssl_aes128gcm, 0, keys.key, keys.iv);
    if (aead == NULL) {
        return 0;
    }
    size_t opened = ptls_aead_decrypt(aead, payload, packet + header_length, header->length - header_length,
                                      *packet_number, clear, header_length);
    ptls_aead_free(aead);
    return opened == SIZE_MAX ? 0 : opened;
}
