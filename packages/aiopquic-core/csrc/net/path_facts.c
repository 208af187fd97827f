#include "net/path_facts.h"

#include <picoquic_internal.h>
#include <string.h>

static const struct sockaddr *plain(const struct sockaddr_storage *address)
{
    return (const struct sockaddr *)address;
}

size_t aiopq_path_count(picoquic_cnx_t *cnx)
{
    return (size_t)cnx->nb_paths;
}

void aiopq_path_at(picoquic_cnx_t *cnx, size_t index, aiopq_path_info_t *info)
{
    const picoquic_path_t *path = cnx->path[index];
    const picoquic_tuple_t *tuple = path->first_tuple;
    picoquic_path_quality_t quality;
    memset(&quality, 0, sizeof(quality));
    memset(info, 0, sizeof(*info));
    (void)picoquic_get_path_quality(cnx, path->unique_path_id, &quality);
    info->id = path->unique_path_id;
    info->local_address = tuple->local_addr;
    info->peer_address = tuple->peer_addr;
    info->is_validated = tuple->challenge_verified;
    info->is_backup = path->path_is_backup;
    info->is_leaving = path->path_is_demoted;
    info->receive_rate_estimate = quality.receive_rate_estimate;
    info->pacing_rate = quality.pacing_rate;
    info->cwin = quality.cwin;
    info->bytes_in_transit = quality.bytes_in_transit;
    info->rtt = quality.rtt;
    info->rtt_sample = quality.rtt_sample;
    info->rtt_variant = quality.rtt_variant;
    info->rtt_min = quality.rtt_min;
    info->rtt_max = quality.rtt_max;
    info->packets_sent = quality.sent;
    info->packets_lost = quality.lost;
    info->spurious_losses = quality.spurious_losses;
    info->bytes_sent = quality.bytes_sent;
    info->bytes_received = quality.bytes_received;
}

bool aiopq_path_by_id(picoquic_cnx_t *cnx, uint64_t id, aiopq_path_info_t *info)
{
    int index = picoquic_get_path_id_from_unique(cnx, id);
    if (index < 0) {
        return false;
    }
    aiopq_path_at(cnx, (size_t)index, info);
    return true;
}

bool aiopq_has_multipath(picoquic_cnx_t *cnx)
{
    return cnx->is_multipath_enabled;
}

/* ---- probes ---- */

static picoquic_tuple_t *find_tuple(picoquic_path_t *path, const aiopq_probe_target_t *target)
{
    picoquic_tuple_t *tuple = path->first_tuple;
    while (tuple != NULL &&
           (picoquic_compare_addr(plain(&tuple->local_addr), plain(&target->local_address)) != 0 ||
            picoquic_compare_addr(plain(&tuple->peer_addr), plain(&target->peer_address)) != 0)) {
        tuple = tuple->next_tuple;
    }
    return tuple;
}

int aiopq_probe_start(picoquic_cnx_t *cnx, aiopq_probe_target_t *target, uint64_t now_us)
{
    /* picoquic minds the peer's wish for further paths alone. A peer that prefers another address takes its word
     * back when it is followed there. */
    if (cnx->remote_parameters.migration_disabled) {
        return PICOQUIC_ERROR_MIGRATION_DISABLED;
    }
    if (cnx->cnx_state < picoquic_state_ready) {
        return PICOQUIC_ERROR_PATH_NOT_READY; /* RFC 9000 section 9: not before the handshake is confirmed */
    }
    if (!target->is_path) {
        picoquic_tuple_t *known = find_tuple(cnx->path[0], target);
        if (known != NULL && known == cnx->path[0]->first_tuple) {
            return 0;
        }
        if (known != NULL) {
            picoquic_delete_tuple(cnx->path[0], known, 0);
        }
        return picoquic_probe_new_tuple(cnx, cnx->path[0], plain(&target->peer_address),
                                        plain(&target->local_address), 0, now_us, 0);
    }
    int error = picoquic_probe_new_path_ex(cnx, plain(&target->peer_address), plain(&target->local_address),
                                           0, now_us, 0);
    if (error == 0) {
        target->path_id = cnx->path[cnx->nb_paths - 1]->unique_path_id;
    }
    return error;
}

aiopq_probe_state_t aiopq_probe_state(picoquic_cnx_t *cnx, const aiopq_probe_target_t *target)
{
    const picoquic_tuple_t *tuple;
    if (target->is_path) {
        int index = picoquic_get_path_id_from_unique(cnx, target->path_id);
        if (index < 0 || cnx->path[index]->path_is_demoted) {
            return AIOPQ_PROBE_FAILED;
        }
        tuple = cnx->path[index]->first_tuple;
    } else {
        tuple = find_tuple(cnx->path[0], target);
    }
    if (tuple == NULL || tuple->challenge_failed) {
        return AIOPQ_PROBE_FAILED;
    }
    return tuple->challenge_verified ? AIOPQ_PROBE_DONE : AIOPQ_PROBE_PENDING;
}

void aiopq_probe_drop(picoquic_cnx_t *cnx, const aiopq_probe_target_t *target, uint64_t now_us)
{
    if (target->is_path) {
        (void)picoquic_abandon_path(cnx, target->path_id, PICOQUIC_TRANSPORT_APPLICATION_ABANDON, now_us);
        return;
    }
    picoquic_tuple_t *tuple = find_tuple(cnx->path[0], target);
    if (tuple != NULL && tuple != cnx->path[0]->first_tuple) {
        picoquic_delete_tuple(cnx->path[0], tuple, 0);
    }
}

/* ---- addresses that were moved away from ---- */

/* Round trips are measured anew, from the one that the peer's answer has just shown. */
static void forget_network(picoquic_cnx_t *cnx, picoquic_path_t *path, uint64_t now_us)
{
    uint64_t sample = now_us - path->first_tuple->challenge_time_first;
    path->rtt_sample = path->smoothed_rtt = path->rtt_min = path->rtt_max = sample;
    path->rtt_variant = sample / 2;
    if (cnx->congestion_alg != NULL && path->congestion_alg_state != NULL) {
        picoquic_per_ack_state_t nothing;
        memset(&nothing, 0, sizeof(nothing));
        cnx->congestion_alg->alg_notify(cnx, path, picoquic_congestion_notification_reset, &nothing, now_us);
    }
}

uint64_t aiopq_path_switched(picoquic_cnx_t *cnx, uint64_t now_us)
{
    picoquic_path_t *path = cnx->path[0];
    const picoquic_tuple_t *now = path->first_tuple, *before = now->next_tuple;
    if (before == NULL || !before->challenge_verified) {
        return 0;
    }
    if (picoquic_compare_ip_addr(plain(&now->local_addr), plain(&before->local_addr)) != 0 ||
        picoquic_compare_ip_addr(plain(&now->peer_addr), plain(&before->peer_addr)) != 0) {
        forget_network(cnx, path, now_us);
    }
    /* What was under way when the peer changed has arrived by then. */
    return 3 * path->retransmit_timer;
}

void aiopq_drop_old_addresses(picoquic_cnx_t *cnx)
{
    picoquic_path_t *path = cnx->path[0];
    picoquic_tuple_t *following;
    for (picoquic_tuple_t *tuple = path->first_tuple->next_tuple; tuple != NULL; tuple = following) {
        following = tuple->next_tuple;
        if (tuple->challenge_verified) {
            picoquic_delete_tuple(path, tuple, 0);
        }
    }
}

bool aiopq_uses_local_address(picoquic_cnx_t *cnx, const struct sockaddr_storage *address)
{
    for (int i = 0; i < cnx->nb_paths; i++) {
        for (const picoquic_tuple_t *tuple = cnx->path[i]->first_tuple; tuple != NULL;
             tuple = tuple->next_tuple) {
            if (!tuple->challenge_failed &&
                picoquic_compare_addr(plain(&tuple->local_addr), plain(address)) == 0) {
                return true;
            }
        }
    }
    return false;
}

void aiopq_ecn_counts(picoquic_cnx_t *cnx, uint64_t received[3], uint64_t reported[3])
{
    const picoquic_ack_context_t *acks = &cnx->ack_ctx[picoquic_packet_context_application];
    const picoquic_packet_context_t *packets = &cnx->pkt_ctx[picoquic_packet_context_application];
    if (cnx->is_multipath_enabled) {
        acks = &cnx->path[0]->ack_ctx;
        packets = &cnx->path[0]->pkt_ctx;
    }
    received[0] = acks->ecn_ect0_total_local;
    received[1] = acks->ecn_ect1_total_local;
    received[2] = acks->ecn_ce_total_local;
    reported[0] = packets->ecn_ect0_total_remote;
    reported[1] = packets->ecn_ect1_total_remote;
    reported[2] = packets->ecn_ce_total_remote;
}
