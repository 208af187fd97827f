#include "net/tokens.h"

#include <picoquic_internal.h>
#include <stdlib.h>
#include <string.h>
#include <tls_api.h>

#include "net/callbacks.h"

/* Used tokens that a server remembers. picoquic takes no token at all once it remembers 32 for each connection that it may
 * have, and each stays for a day. */
#define USED_TOKENS_MAX 65536
#define USED_TOKENS_PER_CONNECTION 16u

static aiopq_token_t *new_token(const aiopq_token_t *facts, const uint8_t *name, const uint8_t *token)
{
    aiopq_token_t *kept = malloc(sizeof(*kept) + facts->name_length + facts->length);
    if (kept != NULL) {
        *kept = *facts;
        memcpy(kept->bytes, name, facts->name_length);
        memcpy(kept->bytes + facts->name_length, token, facts->length);
    }
    return kept;
}

/* Frees what follows the first `count`. */
static void keep_first(aiopq_token_t **list, size_t count)
{
    for (size_t i = 0; i < count && *list != NULL; i++) {
        list = &(*list)->next;
    }
    while (*list != NULL) {
        aiopq_token_t *token = *list;
        *list = token->next;
        free(token);
    }
}

static void set_place(aiopq_token_t *facts, const struct sockaddr_storage *address)
{
    if (address->ss_family == AF_INET6) {
        facts->family = 6;
        facts->port = ntohs(((const struct sockaddr_in6 *)address)->sin6_port);
    } else {
        facts->family = 4;
        facts->port = ntohs(((const struct sockaddr_in *)address)->sin_port);
    }
}

static void keep(aiopq_engine_t *engine, const aiopq_connect_request_t *request,
                 const picoquic_stored_token_t *stored)
{
    aiopq_token_t facts = {.next = engine->tokens,
                           .valid_until_us = stored->time_valid_until,
                           .name_length = (uint16_t)strlen(request->server_name),
                           .length = stored->token_length};
    set_place(&facts, &request->address);
    aiopq_token_t *token = new_token(&facts, (const uint8_t *)request->server_name, stored->token);
    if (token != NULL) {
        engine->tokens = token;
        keep_first(&engine->tokens, AIOPQ_TOKENS_MAX);
    }
}

void aiopq_tokens_collect(aiopq_engine_t *engine, picoquic_cnx_t *cnx)
{
    if (engine->quic->p_first_token == NULL) {
        return;
    }
    /* The address is the one that was asked for: that of a connection changes when it moves to a preferred one. */
    const aiopq_conn_t *conn = cnx != NULL ? picoquic_get_callback_context(cnx) : NULL;
    if (conn != NULL && conn->request != NULL && conn->request->server_name != NULL) {
        for (const picoquic_stored_token_t *stored = engine->quic->p_first_token; stored != NULL;
             stored = stored->next_token) {
            keep(engine, conn->request, stored);
        }
    }
    picoquic_free_tokens(&engine->quic->p_first_token);
}

void aiopq_tokens_use(aiopq_engine_t *engine, const aiopq_conn_t *conn)
{
    const aiopq_connect_request_t *request = conn->request;
    aiopq_token_t facts = {.name_length = 0};
    uint64_t now_us = picoquic_get_tls_time(engine->quic);
    if (request->server_name == NULL) {
        return;
    }
    set_place(&facts, &request->address);
    facts.name_length = (uint16_t)strlen(request->server_name);
    for (aiopq_token_t **link = &engine->tokens; *link != NULL; link = &(*link)->next) {
        aiopq_token_t *token = *link;
        if (token->port == facts.port && token->family == facts.family && token->valid_until_us > now_us &&
            token->name_length == facts.name_length &&
            memcmp(token->bytes, request->server_name, token->name_length) == 0) {
            /* picoquic frees it, as one that came with a Retry. */
            conn->cnx->retry_token = malloc(token->length);
            if (conn->cnx->retry_token != NULL) {
                memcpy(conn->cnx->retry_token, token->bytes + token->name_length, token->length);
                conn->cnx->retry_token_length = token->length;
            }
            *link =
                token
                    ->next; /* each is sent once: two connections with the same one could be told to be ours */
            free(token);
            return;
        }
    }
}

bool aiopq_tokens_add(aiopq_engine_t *engine, const aiopq_token_t *facts, const uint8_t *name,
                      const uint8_t *token)
{
    aiopq_token_t **link = &engine->tokens;
    size_t count = 0;
    for (; *link != NULL; link = &(*link)->next) {
        count++;
    }
    if (count >= AIOPQ_TOKENS_MAX || facts->length == 0) {
        return true; /* the newest are enough */
    }
    *link = new_token(facts, name, token);
    if (*link == NULL) {
        return false;
    }
    (*link)->next = NULL;
    return true;
}

void aiopq_tokens_free(aiopq_engine_t *engine)
{
    keep_first(&engine->tokens, 0);
}

void aiopq_tokens_bound_used(aiopq_engine_t *engine)
{
    picosplay_tree_t *used = &engine->quic->token_reuse_tree;
    uint64_t limit = (uint64_t)engine->config.max_connections * USED_TOKENS_PER_CONNECTION;
    if (limit > USED_TOKENS_MAX) {
        limit = USED_TOKENS_MAX;
    }
    while ((uint64_t)used->size > limit) {
        picosplay_delete_hint(used, picosplay_first(used)); /* the first to expire */
    }
}
