#include "engine/settings.h"

#include <autoqlog.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <tls_api.h>

#include "aiopquic/datagram.h"
#include "net/callbacks.h"
#include "net/id_maker.h"
#include "net/picoquic_private.h"

static aiopq_status_t copy_string(const char **to, const char *from)
{
    *to = NULL;
    if (from != NULL && (*to = strdup(from)) == NULL) {
        return AIOPQ_NO_MEMORY;
    }
    return AIOPQ_OK;
}

static aiopq_status_t copy_bytes(aiopq_bytes_t *to, aiopq_bytes_t from)
{
    uint8_t *copy = from.length > 0 ? malloc(from.length) : NULL;
    if (from.length == 0) {
        return AIOPQ_OK;
    }
    if (copy == NULL) {
        return AIOPQ_NO_MEMORY;
    }
    memcpy(copy, from.data, from.length);
    *to = (aiopq_bytes_t){.data = copy, .length = from.length};
    return AIOPQ_OK;
}

static uint64_t at_least(uint64_t bytes, uint64_t smallest)
{
    return bytes > smallest ? bytes : smallest;
}

aiopq_status_t aiopq_settings_copy(aiopq_config_t *to, const aiopq_config_t *from)
{
    *to = *from;
    to->datagram_queue_bytes = at_least(from->datagram_queue_bytes, AIOPQ_DATAGRAM_BUDGET_MIN);
    to->datagram_receive_bytes = at_least(from->datagram_receive_bytes, AIOPQ_DATAGRAM_BUDGET_MIN);
    memset(&to->certificate_chain, 0, sizeof(to->certificate_chain));
    memset(&to->private_key, 0, sizeof(to->private_key));
    to->private_key_password = NULL;
    to->certificates = NULL;
    to->certificate_count = 0;
    to->trusted_roots = NULL;
    to->trusted_root_count = 0;
    memset(&to->certificate_hashes, 0, sizeof(to->certificate_hashes));
    memset(&to->pinned_keys, 0, sizeof(to->pinned_keys));
    to->ech_keys = NULL;
    to->ech_key_count = 0;
    to->ech_configs = (aiopq_bytes_t){0};
    to->ech_public_name = NULL;
    memset(&to->session_tickets, 0, sizeof(to->session_tickets));
    memset(to->alpn, 0, sizeof(to->alpn));
    to->keylog_file = to->qlog_dir = to->congestion_control = to->congestion_options = NULL;

    aiopq_status_t status = copy_bytes(&to->ech_configs, from->ech_configs);
    for (size_t i = 0; i < AIOPQ_ALPN_COUNT_MAX && from->alpn[i] != NULL && status == AIOPQ_OK; i++) {
        status = strlen(from->alpn[i]) <= AIOPQ_ALPN_MAX ? copy_string(&to->alpn[i], from->alpn[i])
                                                         : AIOPQ_INVALID;
    }
    if (status == AIOPQ_OK) {
        status = copy_string(&to->ech_public_name, from->ech_public_name);
    }
    if (status == AIOPQ_OK) {
        status = copy_string(&to->keylog_file, from->keylog_file);
    }
    if (status == AIOPQ_OK) {
        status = copy_string(&to->qlog_dir, from->qlog_dir);
    }
    if (status == AIOPQ_OK) {
        status = copy_string(&to->congestion_control, from->congestion_control);
    }
    if (status == AIOPQ_OK) {
        status = copy_string(&to->congestion_options, from->congestion_options);
    }
    return status;
}

static void free_string(const char *string)
{
    free((void *)(uintptr_t)string);
}

void aiopq_settings_dispose(aiopq_config_t *config)
{
    for (size_t i = 0; i < AIOPQ_ALPN_COUNT_MAX; i++) {
        free_string(config->alpn[i]);
    }
    free_string(config->keylog_file);
    free_string(config->qlog_dir);
    free_string(config->congestion_control);
    free_string(config->congestion_options);
    free_string(config->ech_public_name);
    free((void *)(uintptr_t)config->ech_configs.data);
}

static pthread_once_t prepared = PTHREAD_ONCE_INIT;

/* What picoquic keeps for the whole process, and does not guard against two threads that make engines: the
 * tables of its cryptography, and the congestion controllers, of which it finds only registered ones. */
static void prepare_process(void)
{
    picoquic_tls_api_init();
    picoquic_register_all_congestion_control_algorithms();
}

aiopq_status_t aiopq_check_congestion_control(const char *name)
{
    (void)pthread_once(&prepared, prepare_process);
    return picoquic_get_congestion_algorithm(name) != NULL ? AIOPQ_OK : AIOPQ_UNKNOWN_ALGORITHM;
}

/* Path MTU discovery tries packets that fill an Ethernet frame: 1500 bytes with the IP and UDP headers. */
#define LINK_MTU 1500

#define TABLE_CONNECTIONS_MIN 64

static void set_preferred_addresses(picoquic_tp_preferred_address_t *preferred, const aiopq_config_t *config)
{
    for (size_t i = 0; i < AIOPQ_BIND_ADDRESS_MAX; i++) {
        const struct sockaddr_storage *address = &config->preferred_addresses[i];
        if (address->ss_family == AF_INET) {
            const struct sockaddr_in *ipv4 = (const struct sockaddr_in *)address;
            memcpy(preferred->ipv4Address, &ipv4->sin_addr, sizeof(preferred->ipv4Address));
            preferred->ipv4Port = ntohs(ipv4->sin_port);
            preferred->is_defined = 1;
        } else if (address->ss_family == AF_INET6) {
            const struct sockaddr_in6 *ipv6 = (const struct sockaddr_in6 *)address;
            memcpy(preferred->ipv6Address, &ipv6->sin6_addr, sizeof(preferred->ipv6Address));
            preferred->ipv6Port = ntohs(ipv6->sin6_port);
            preferred->is_defined = 1;
        }
    }
}

static void set_transport_parameters(picoquic_quic_t *quic, const aiopq_config_t *config)
{
    picoquic_tp_t parameters = *picoquic_get_default_tp(quic);
    uint64_t window = config->initial_stream_window;
    parameters.initial_max_stream_data_bidi_local = window;
    parameters.initial_max_stream_data_bidi_remote = window;
    parameters.initial_max_stream_data_uni = window;
    parameters.initial_max_stream_id_bidir = config->max_streams_bidi;
    parameters.initial_max_stream_id_unidir = config->max_streams_uni;
    parameters.max_datagram_frame_size = config->max_datagram_frame_size;
    parameters.max_idle_timeout = config->idle_timeout_ms;
    /* What peers may send: as much as we try ourselves, less the headers of the address family. */
    picoquic_set_mtu_max(quic, LINK_MTU);
    parameters.max_packet_size = 0;
    parameters.is_reset_stream_at_enabled = 1;
    if (config->no_ack_frequency) {
        parameters.min_ack_delay = 0;
    }
    if (config->max_paths > 1) {
        parameters.initial_max_path_id = config->max_paths - 1u;
    }
    set_preferred_addresses(&parameters.preferred_address, config);
    (void)picoquic_set_default_tp(quic, &parameters);
    picoquic_set_max_data_control(quic, config->max_data);
}

static picoquic_pmtud_policy_enum pmtud_policy(aiopq_pmtud_t pmtud)
{
    switch (pmtud) {
    case AIOPQ_PMTUD_DELAYED:
        return picoquic_pmtud_delayed;
    case AIOPQ_PMTUD_BLOCKED:
        return picoquic_pmtud_blocked;
    default:
        return picoquic_pmtud_basic;
    }
}

/* What picoquic makes its hash tables for: 42 bins for each connection, which fills a dozen. With an eighth of
 * them a bin of a full server has two entries, and a server that may have ten thousand connections takes 0.4 MB for
 * them, not 3.3: the pages of an idle one are touched by its first few hundred. */
static uint32_t table_connections(uint32_t max_connections)
{
    return max_connections / 8 > TABLE_CONNECTIONS_MIN ? max_connections / 8 : TABLE_CONNECTIONS_MIN;
}

aiopq_status_t aiopq_settings_create_quic(aiopq_engine_t *engine, const aiopq_config_t *config)
{
    (void)pthread_once(&prepared, prepare_process);
    uint64_t now_us =
        config->simulated_time_us != NULL ? *config->simulated_time_us : picoquic_current_time();
    static const uint8_t no_secret[AIOPQ_RESET_SECRET_LENGTH];
    uint8_t secret[AIOPQ_RESET_SECRET_LENGTH];
    memcpy(secret, config->stateless_reset_secret, sizeof(secret));
    bool has_secret = memcmp(secret, no_secret, sizeof(secret)) != 0;
    /* picoquic keeps tickets when it is told of a file for them; it finds none of that name. */
    const char *ticket_file = config->keeps_sessions ? "" : NULL;
    picoquic_quic_t *quic = picoquic_create(
        table_connections(config->max_connections), NULL, NULL, NULL, NULL, aiopq_server_callback, engine,
        engine->ids != NULL ? aiopq_make_id : NULL, engine->ids, has_secret ? secret : NULL, now_us,
        config->simulated_time_us, ticket_file, NULL, 0);
    if (quic == NULL) {
        return AIOPQ_FAILED;
    }
    engine->quic = quic;
    engine->now_us = now_us;
    aiopq_set_max_connections(quic, config->max_connections);
    picoquic_enable_cnxid_events(quic, 1);
    picoquic_enable_path_callbacks_default(quic, 1);
    aiopq_announce_datagrams_as_configured(quic);
    if (config->congestion_control != NULL) {
        if (aiopq_check_congestion_control(config->congestion_control) != AIOPQ_OK) {
            return AIOPQ_UNKNOWN_ALGORITHM;
        }
        /* picoquic keeps the pointer to the options: ours lives as long as the engine. */
        picoquic_set_default_congestion_algorithm_ex(
            quic, picoquic_get_congestion_algorithm(config->congestion_control),
            engine->config.congestion_options);
    }
    if (config->cipher_suite != 0 && picoquic_set_cipher_suite(quic, (int)config->cipher_suite) != 0) {
        return AIOPQ_UNKNOWN_ALGORITHM;
    }
    set_transport_parameters(quic, config);
    picoquic_set_default_idle_timeout(quic, config->idle_timeout_ms);
    picoquic_set_default_datagram_priority(quic, config->datagram_priority);
    picoquic_set_default_handshake_timeout(quic, config->handshake_timeout_us);
    if (config->key_update_interval != 0) {
        picoquic_set_default_crypto_epoch_length(quic, config->key_update_interval);
    }
    static const uint8_t no_key[AIOPQ_TICKET_KEY_LENGTH];
    if (memcmp(config->ticket_key, no_key, sizeof(no_key)) != 0 &&
        picoquic_set_ticket_key(quic, config->ticket_key, sizeof(config->ticket_key)) != 0) {
        return AIOPQ_FAILED;
    }
    if (config->max_congestion_window != 0) {
        picoquic_set_cwin_max(quic, config->max_congestion_window);
    }
    if (config->no_spin_bit) {
        (void)picoquic_set_default_spinbit_policy(quic, picoquic_spinbit_null);
    }
    uint8_t id_length = aiopq_id_length(config);
    if (id_length != 0 && picoquic_set_default_connection_id_length(quic, id_length) != 0) {
        return AIOPQ_INVALID;
    }
    picoquic_set_default_pmtud_policy(quic, pmtud_policy(config->pmtud));
    picoquic_set_alpn_select_fn_v2(quic, aiopq_select_alpn);
    if (config->half_open_limit != 0) {
        picoquic_set_max_half_open_retry_threshold(quic, config->half_open_limit);
    }
    aiopq_set_retry(quic, config->always_retry);
    if (config->keylog_file != NULL) {
        picoquic_enable_sslkeylog(quic, 1);
        picoquic_set_key_log_file(quic, config->keylog_file);
    }
    if (config->qlog_dir != NULL) {
        if (picoquic_set_qlog(quic, config->qlog_dir) != 0) {
            return AIOPQ_FAILED;
        }
        picoquic_set_log_level(quic, 1);
    }
    return AIOPQ_OK;
}
