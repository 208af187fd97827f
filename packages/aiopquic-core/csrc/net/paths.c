#include "net/paths.h"

#include <picoquic_utils.h>
#include <stdlib.h>
#include <string.h>

#include "net/events_out.h"
#include "net/objects.h"
#include "net/picoquic_private.h"
#include "net/watch.h"

/* A path can't be tried before the handshake is confirmed and the peer has given a connection id for it: a round
 * trip or two after the handshake. A peer that has none to give is told of as such after this time. */
#define START_LIMIT_US 3000000

/* ---- what is told ---- */

static aiopq_path_answer_t *new_answer(const aiopq_path_request_t *request, aiopq_path_outcome_t outcome,
                                       size_t path_count)
{
    aiopq_path_answer_t *answer = calloc(1, sizeof(*answer) + path_count * sizeof(answer->paths[0]));
    if (answer != NULL) {
        answer->request = request->request;
        answer->outcome = outcome;
        answer->path_count = path_count;
    }
    return answer;
}

static void send_answer(aiopq_conn_t *conn, aiopq_path_answer_t *answer)
{
    if (answer == NULL) {
        /* Somebody waits for it: the end of the connection answers too. */
        aiopq_close_transport(conn->cnx, PICOQUIC_TRANSPORT_INTERNAL_ERROR, 0, NULL);
        return;
    }
    aiopq_emit(conn->engine, AIOPQ_EVENT_CONN_PATH_ANSWER, conn, NULL, 0, answer);
}

static void refuse(aiopq_conn_t *conn, const aiopq_path_request_t *request, aiopq_path_outcome_t outcome,
                   int system_error)
{
    aiopq_path_answer_t *answer = new_answer(request, outcome, 0);
    if (answer != NULL) {
        answer->system_error = system_error;
    }
    send_answer(conn, answer);
}

static void list(aiopq_conn_t *conn, const aiopq_path_request_t *request)
{
    size_t count = aiopq_path_count(conn->cnx);
    aiopq_path_answer_t *answer = new_answer(request, AIOPQ_PATH_DONE, count);
    for (size_t i = 0; answer != NULL && i < count; i++) {
        aiopq_path_at(conn->cnx, i, &answer->paths[i]);
    }
    send_answer(conn, answer);
}

static void tell(aiopq_conn_t *conn, aiopq_path_change_t change, const aiopq_path_info_t *path)
{
    aiopq_path_event_t *event = calloc(1, sizeof(*event));
    if (event != NULL && conn->is_ready) { /* before, nobody above has the connection */
        aiopq_path_info_t preferred;
        aiopq_path_at(conn->cnx, 0, &preferred);
        event->path = *path;
        event->local_address = preferred.local_address;
        event->peer_address = preferred.peer_address;
        aiopq_emit(conn->engine, AIOPQ_EVENT_CONN_PATH, conn, NULL, (uint64_t)change, event);
    } else {
        free(event);
    }
}

/* A turn at the next moment that matters here. */
static void set_alarm(aiopq_conn_t *conn)
{
    const aiopq_paths_t *paths = &conn->paths;
    uint64_t time_us = paths->drop_old_us;
    if (paths->probe != NULL && !paths->is_probe_started &&
        (time_us == 0 || paths->start_deadline_us < time_us)) {
        time_us = paths->start_deadline_us;
    }
    picoquic_set_app_wake_time(conn->cnx, time_us);
}

/* ---- local addresses ---- */

static aiopq_path_outcome_t open_local(aiopq_conn_t *conn, struct sockaddr_storage *address, int *error)
{
    aiopq_engine_t *engine = conn->engine;
    aiopq_paths_t *paths = &conn->paths;
    if (engine->open_local == NULL) {
        return AIOPQ_PATH_NO_SOCKETS;
    }
    struct sockaddr_storage *locals =
        realloc(paths->locals, (paths->local_count + 1) * sizeof(paths->locals[0]));
    if (locals == NULL) {
        return AIOPQ_PATH_FAILED;
    }
    paths->locals = locals;
    *error = engine->open_local(engine->local_context, address);
    if (*error != 0) {
        return AIOPQ_PATH_NOT_BOUND;
    }
    locals[paths->local_count++] = *address;
    return AIOPQ_PATH_DONE;
}

/* Gives back the addresses that no path sends from; all of them when the connection is over. */
static void close_unused(aiopq_conn_t *conn, bool is_over)
{
    aiopq_paths_t *paths = &conn->paths;
    size_t kept = 0;
    for (size_t i = 0; i < paths->local_count; i++) {
        const struct sockaddr_storage *address = &paths->locals[i];
        bool is_probed = paths->probe != NULL &&
                         picoquic_compare_addr((const struct sockaddr *)&paths->target.local_address,
                                               (const struct sockaddr *)address) == 0;
        if (!is_over && (is_probed || aiopq_uses_local_address(conn->cnx, address))) {
            paths->locals[kept++] = *address;
        } else if (conn->engine->close_local != NULL) {
            conn->engine->close_local(conn->engine->local_context, address);
        }
    }
    paths->local_count = kept;
}

/* ---- probes ---- */

static aiopq_path_outcome_t outcome_of(int error)
{
    switch (error) {
    case PICOQUIC_ERROR_MIGRATION_DISABLED:
        return AIOPQ_PATH_NOT_ALLOWED;
    case PICOQUIC_ERROR_PATH_ADDRESS_FAMILY:
        return AIOPQ_PATH_WRONG_FAMILY;
    case PICOQUIC_ERROR_PATH_CID_BLOCKED:
    case PICOQUIC_ERROR_PATH_NOT_READY:
        return AIOPQ_PATH_NO_IDS;
    case PICOQUIC_ERROR_PATH_ID_BLOCKED:
    case PICOQUIC_ERROR_PATH_LIMIT_EXCEEDED:
        return AIOPQ_PATH_TOO_MANY;
    default:
        return AIOPQ_PATH_FAILED;
    }
}

static bool may_work_later(int error)
{
    return error == PICOQUIC_ERROR_PATH_CID_BLOCKED || error == PICOQUIC_ERROR_PATH_NOT_READY ||
           error == PICOQUIC_ERROR_PATH_ID_BLOCKED;
}

/* The probe is over, one way or the other. */
static void end_probe(aiopq_conn_t *conn, aiopq_path_outcome_t outcome)
{
    aiopq_paths_t *paths = &conn->paths;
    aiopq_path_request_t *request = paths->probe;
    aiopq_path_answer_t *answer = new_answer(request, outcome, outcome == AIOPQ_PATH_DONE ? 1 : 0);
    if (outcome != AIOPQ_PATH_DONE && paths->is_probe_started) {
        aiopq_probe_drop(conn->cnx, &paths->target, conn->engine->now_us);
        aiopq_wake_connection(conn->cnx, conn->engine->now_us);
    }
    if (answer != NULL && outcome == AIOPQ_PATH_DONE) {
        (void)aiopq_path_by_id(conn->cnx, paths->target.path_id, &answer->paths[0]);
    }
    paths->probe = NULL;
    free(request);
    close_unused(conn, false);
    send_answer(conn, answer);
}

static void try_probe(aiopq_conn_t *conn)
{
    aiopq_paths_t *paths = &conn->paths;
    uint64_t now_us = conn->engine->now_us;
    if (!paths->is_probe_started) {
        int error = aiopq_probe_start(conn->cnx, &paths->target, now_us);
        if (error != 0) {
            if (!may_work_later(error) || now_us >= paths->start_deadline_us) {
                end_probe(conn, outcome_of(error));
            }
            return;
        }
        paths->is_probe_started = true;
        aiopq_wake_connection(conn->cnx, now_us);
    }
    aiopq_probe_state_t state = aiopq_probe_state(conn->cnx, &paths->target);
    if (state != AIOPQ_PROBE_PENDING) {
        end_probe(conn, state == AIOPQ_PROBE_DONE ? AIOPQ_PATH_DONE : AIOPQ_PATH_NO_ANSWER);
    }
}

static bool is_wildcard(const struct sockaddr_storage *address)
{
    return address->ss_family == AF_UNSPEC;
}

static void begin_probe(aiopq_conn_t *conn, aiopq_path_request_t *request)
{
    aiopq_paths_t *paths = &conn->paths;
    aiopq_path_info_t first;
    aiopq_path_at(conn->cnx, 0, &first);
    aiopq_probe_target_t target = {.local_address = request->local_address,
                                   .peer_address = request->peer_address,
                                   .is_path = request->wish == AIOPQ_PATH_ADD};
    if (is_wildcard(&target.peer_address)) {
        target.peer_address = first.peer_address;
    }
    if (is_wildcard(&target.local_address)) {
        target.local_address = first.local_address;
        picoquic_set_addr_port((struct sockaddr *)&target.local_address, 0);
    }
    int error = 0;
    aiopq_path_outcome_t outcome = AIOPQ_PATH_DONE;
    if (paths->probe != NULL) {
        outcome = AIOPQ_PATH_BUSY;
    } else if (target.is_path && !aiopq_has_multipath(conn->cnx)) {
        outcome = AIOPQ_PATH_NO_MULTIPATH;
    } else if (target.local_address.ss_family != target.peer_address.ss_family) {
        outcome = AIOPQ_PATH_WRONG_FAMILY;
    } else {
        outcome = open_local(conn, &target.local_address, &error);
    }
    if (outcome != AIOPQ_PATH_DONE) {
        refuse(conn, request, outcome, error);
        free(request);
        return;
    }
    paths->probe = request;
    paths->target = target;
    paths->is_probe_started = false;
    paths->start_deadline_us = conn->engine->now_us + START_LIMIT_US;
    set_alarm(conn);
    aiopq_watch_enter(conn);
}

/* ---- requests ---- */

static void cancel(aiopq_conn_t *conn, const aiopq_path_request_t *request)
{
    if (conn->paths.probe != NULL && conn->paths.probe->request == request->id) {
        end_probe(conn, AIOPQ_PATH_CANCELLED);
    }
    refuse(conn, request, AIOPQ_PATH_DONE, 0);
}

static void abandon(aiopq_conn_t *conn, const aiopq_path_request_t *request)
{
    aiopq_path_outcome_t outcome = AIOPQ_PATH_DONE;
    aiopq_path_info_t path;
    if (!aiopq_has_multipath(conn->cnx)) {
        outcome = AIOPQ_PATH_NO_MULTIPATH;
    } else if (!aiopq_path_by_id(conn->cnx, request->id, &path)) {
        outcome = AIOPQ_PATH_UNKNOWN;
    } else {
        int error = picoquic_abandon_path(conn->cnx, request->id, PICOQUIC_TRANSPORT_APPLICATION_ABANDON,
                                          conn->engine->now_us);
        outcome = error == 0
                      ? AIOPQ_PATH_DONE
                      : (error == PICOQUIC_ERROR_PATH_LAST_REMAINING ? AIOPQ_PATH_LAST : AIOPQ_PATH_FAILED);
        aiopq_wake_connection(conn->cnx, conn->engine->now_us);
    }
    refuse(conn, request, outcome, 0);
}

static void set_status(aiopq_conn_t *conn, const aiopq_path_request_t *request)
{
    aiopq_path_outcome_t outcome = AIOPQ_PATH_DONE;
    aiopq_path_info_t path;
    picoquic_path_status_enum status =
        request->wish == AIOPQ_PATH_BACK_UP ? picoquic_path_status_backup : picoquic_path_status_available;
    if (!aiopq_has_multipath(conn->cnx)) {
        outcome = AIOPQ_PATH_NO_MULTIPATH;
    } else if (!aiopq_path_by_id(conn->cnx, request->id, &path) || path.is_leaving) {
        outcome = AIOPQ_PATH_UNKNOWN;
    } else if (picoquic_set_path_status(conn->cnx, request->id, status) != 0) {
        outcome = AIOPQ_PATH_FAILED;
    }
    aiopq_wake_connection(conn->cnx, conn->engine->now_us);
    refuse(conn, request, outcome, 0);
}

void aiopq_paths_request(aiopq_conn_t *conn, aiopq_path_request_t *request)
{
    switch (request->wish) {
    case AIOPQ_PATH_MIGRATE:
    case AIOPQ_PATH_ADD:
        begin_probe(conn, request);
        return;
    case AIOPQ_PATH_CANCEL:
        cancel(conn, request);
        break;
    case AIOPQ_PATH_ABANDON:
        abandon(conn, request);
        break;
    case AIOPQ_PATH_BACK_UP:
    case AIOPQ_PATH_USE:
        set_status(conn, request);
        break;
    case AIOPQ_PATH_LIST:
        list(conn, request);
        break;
    case AIOPQ_PATH_WATCH:
        picoquic_subscribe_to_quality_update(conn->cnx, request->rate_change, request->rtt_change_us);
        refuse(conn, request, AIOPQ_PATH_DONE, 0);
        break;
    }
    free(request);
}

/* ---- what picoquic tells, and what it does not ---- */

void aiopq_on_path(aiopq_conn_t *conn, uint64_t path_id, aiopq_path_change_t change)
{
    aiopq_path_info_t path;
    aiopq_paths_t *paths = &conn->paths;
    if (conn->is_announced || !aiopq_path_by_id(conn->cnx, path_id, &path)) {
        return;
    }
    if (change == AIOPQ_PATH_AVAILABLE && !aiopq_has_multipath(conn->cnx)) {
        uint64_t delay_us = aiopq_path_switched(conn->cnx, conn->engine->now_us);
        if (delay_us > 0) {
            paths->drop_old_us = conn->engine->now_us + delay_us;
            set_alarm(conn);
            aiopq_watch_enter(conn);
        }
    }
    tell(conn, change, &path);
}

static aiopq_probe_target_t *find_known(aiopq_paths_t *paths, uint64_t id)
{
    for (size_t i = 0; i < paths->known_count; i++) {
        if (paths->known[i].path_id == id) {
            return &paths->known[i];
        }
    }
    return NULL;
}

/* picoquic takes packets of a known path from another address for a NAT that has moved, and says nothing. */
static void look_for_moves(aiopq_conn_t *conn)
{
    aiopq_paths_t *paths = &conn->paths;
    aiopq_probe_target_t seen[AIOPQ_PATHS_MAX];
    size_t count = aiopq_path_count(conn->cnx);
    for (size_t i = 0; i < count && i < AIOPQ_PATHS_MAX; i++) {
        aiopq_path_info_t path;
        aiopq_path_at(conn->cnx, i, &path);
        const aiopq_probe_target_t *known = find_known(paths, path.id);
        if (known != NULL && picoquic_compare_addr((const struct sockaddr *)&known->peer_address,
                                                   (const struct sockaddr *)&path.peer_address) != 0) {
            tell(conn, AIOPQ_PATH_MOVED, &path);
        }
        seen[i] = (aiopq_probe_target_t){.path_id = path.id, .peer_address = path.peer_address};
    }
    paths->known_count = count < AIOPQ_PATHS_MAX ? count : AIOPQ_PATHS_MAX;
    memcpy(paths->known, seen, paths->known_count * sizeof(seen[0]));
}

void aiopq_paths_ready(aiopq_conn_t *conn)
{
    aiopq_paths_t *paths = &conn->paths;
    if (aiopq_has_multipath(conn->cnx)) {
        paths->known = calloc(AIOPQ_PATHS_MAX, sizeof(paths->known[0]));
        paths->is_watched = paths->known != NULL;
        aiopq_watch_enter(conn);
    }
}

bool aiopq_paths_look(aiopq_conn_t *conn)
{
    aiopq_paths_t *paths = &conn->paths;
    if (paths->drop_old_us != 0 && conn->engine->now_us >= paths->drop_old_us) {
        paths->drop_old_us = 0;
        aiopq_drop_old_addresses(conn->cnx);
        aiopq_wake_connection(conn->cnx, conn->engine->now_us); /* their ids are given back */
        set_alarm(conn);
    }
    if (paths->probe != NULL) {
        try_probe(conn);
    }
    if (paths->is_watched) {
        look_for_moves(conn);
    }
    if (paths->local_count > 0) {
        close_unused(conn, false);
    }
    return paths->probe != NULL || paths->drop_old_us != 0 || paths->is_watched;
}

void aiopq_paths_forget(aiopq_conn_t *conn)
{
    free(conn->paths.probe);
    free(conn->paths.known);
    conn->paths.probe = NULL;
    conn->paths.known = NULL;
    conn->paths.known_count = 0;
    conn->paths.is_watched = false;
    conn->paths.drop_old_us = 0;
}

void aiopq_paths_end(aiopq_conn_t *conn)
{
    aiopq_paths_forget(conn);
    close_unused(conn, true);
    free(conn->paths.locals);
    conn->paths.locals = NULL;
}
