#include "initial_maker.h"

#include <picotls.h>
#include <picotls/openssl.h>
#include <stdlib.h>
#include <string.h>

#include "net/initial_packet.h"
#include "test.h"

#define NUMBER_LENGTH 4
#define TAG_LENGTH 16

size_t maker_hex(uint8_t *bytes, const char *digits)
{
    size_t length = strlen(digits) / 2;
    for (size_t i = 0; i < length; i++) {
        const char pair[3] = {digits[2 * i], digits[2 * i + 1], 0};
        char *end;
        bytes[i] = (uint8_t)strtoul(pair, &end, 16);
        CHECK(*end == 0);
    }
    return length;
}

maker_t maker(void)
{
    maker_t made = {.version = AIOPQ_VERSION_1};
    made.destination_length = (uint8_t)maker_hex(made.destination, "8394c8f03e515708");
    return made;
}

static void expand(uint8_t *output, size_t length, const uint8_t *secret, const char *label)
{
    CHECK_EQUAL(ptls_hkdf_expand_label(&ptls_openssl_sha256, output, length, ptls_iovec_init(secret, 32),
                                       label, ptls_iovec_init(NULL, 0), NULL),
                0);
}

static uint8_t *put(uint8_t *at, uint64_t value, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        at[i] = (uint8_t)(value >> (8 * (length - 1 - i)));
    }
    return at + length;
}

static void protect(const maker_t *maker, uint8_t *packet, size_t header_length, size_t size)
{
    bool is_v1 = maker->version == AIOPQ_VERSION_1;
    uint8_t salt[20], initial[32], client[32], key[16], iv[12], hp[16], mask[16];
    (void)maker_hex(salt, is_v1 ? "38762cf7f55934b34d179ae6a4c80cadccbb7f0a"
                                : "0dede3def700a6db819381be6e269dcbf9bd2ed9");
    CHECK_EQUAL(ptls_hkdf_extract(&ptls_openssl_sha256, initial, ptls_iovec_init(salt, sizeof(salt)),
                                  ptls_iovec_init(maker->destination, maker->destination_length)),
                0);
    expand(client, sizeof(client), initial, "client in");
    expand(key, sizeof(key), client, is_v1 ? "quic key" : "quicv2 key");
    expand(iv, sizeof(iv), client, is_v1 ? "quic iv" : "quicv2 iv");
    expand(hp, sizeof(hp), client, is_v1 ? "quic hp" : "quicv2 hp");
    ptls_aead_context_t *aead = ptls_aead_new_direct(&ptls_openssl_aes128gcm, 1, key, iv);
    CHECK(aead != NULL);
    uint8_t *payload = packet + header_length;
    (void)ptls_aead_encrypt(aead, payload, payload, size - header_length - TAG_LENGTH, maker->packet_number,
                            packet, header_length);
    ptls_aead_free(aead);
    ptls_cipher_context_t *cipher = ptls_cipher_new(&ptls_openssl_aes128ecb, 1, hp);
    CHECK(cipher != NULL);
    ptls_cipher_encrypt(cipher, mask, payload, sizeof(mask));
    ptls_cipher_free(cipher);
    packet[0] ^= mask[0] & 0x0f;
    for (size_t i = 0; i < NUMBER_LENGTH; i++) {
        packet[header_length - NUMBER_LENGTH + i] ^= mask[1 + i];
    }
}

size_t maker_seal(maker_t *maker, const uint8_t *frames, size_t length, uint8_t *packet, size_t size)
{
    uint8_t *at = packet;
    *at++ = maker->version == AIOPQ_VERSION_1 ? 0xc3 : 0xd3;
    at = put(at, maker->version, 4);
    *at++ = maker->destination_length;
    memcpy(at, maker->destination, maker->destination_length);
    at += maker->destination_length;
    *at++ = 0; /* no source connection id */
    if (maker->token_length < 64) {
        *at++ = (uint8_t)maker->token_length;
    } else {
        at = put(at, 0x4000 | maker->token_length, 2);
    }
    if (maker->token_length > 0) {
        memcpy(at, maker->token, maker->token_length);
        at += maker->token_length;
    }
    size_t header_length = (size_t)(at - packet) + 2 + NUMBER_LENGTH;
    CHECK(size <= 0x3fff && size >= header_length + length + TAG_LENGTH);
    at = put(at, 0x4000 | (size - header_length + NUMBER_LENGTH), 2);
    at = put(at, maker->packet_number, NUMBER_LENGTH);
    memcpy(at, frames, length);
    memset(at + length, 0, size - header_length - length - TAG_LENGTH);
    protect(maker, packet, header_length, size);
    maker->packet_number++;
    return size;
}

size_t maker_crypto(uint8_t *frame, size_t offset, const uint8_t *message, size_t length)
{
    uint8_t *at = frame;
    *at++ = 0x06;
    at = put(at, 0x4000 | offset, 2);
    at = put(at, 0x4000 | length, 2);
    memcpy(at, message + offset, length);
    return (size_t)(at - frame) + length;
}

static uint8_t *put_extension(uint8_t *at, unsigned type, const uint8_t *body, size_t length)
{
    at = put(at, type, 2);
    at = put(at, length, 2);
    memcpy(at, body, length);
    return at + length;
}

size_t maker_hello(uint8_t *message, const char *server_name, const uint8_t *alpn, size_t alpn_length,
                   size_t filler)
{
    static const uint8_t nothing[65536];
    uint8_t body[2048];
    uint8_t *at = message + 4;
    at = put(at, 0x0303, 2);
    memset(at, 0x5a, 32);
    at += 32;
    *at++ = 0;                   /* session id */
    at = put(at, 0x00021301, 4); /* one cipher suite */
    at = put(at, 0x0100, 2);     /* no compression */
    uint8_t *extensions = at;
    at = put_extension(at + 2, 21, nothing, filler);
    if (server_name != NULL) {
        size_t length = strlen(server_name);
        uint8_t *end = put(put(put(body, length + 3, 2), 0, 1), length, 2);
        memcpy(end, server_name, length);
        at = put_extension(at, 0, body, length + 5);
    }
    if (alpn != NULL) {
        memcpy(put(body, alpn_length, 2), alpn, alpn_length);
        at = put_extension(at, 16, body, alpn_length + 2);
    }
    (void)put(extensions, (size_t)(at - extensions) - 2, 2);
    message[0] = 1;
    (void)put(message + 1, (size_t)(at - message) - 4, 3);
    return (size_t)(at - message);
}
