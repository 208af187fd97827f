/* aiopquic-bench's measurements that have no Python in them: raw UDP, and picoquic over its simulated link.
 *
 *   native udp-receive|udp-send|sim-link [--name value]...
 *
 * The answer is one line of JSON on the standard output. The command aiopquic-bench runs this program and checks what
 * it is given; it is not for people. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

enum {
    CERTIFICATE = 1,
    KEY,
    CC,
    RATE,
    LOSS,
    DURATION,
    WARM_UP,
    PATIENCE,
    DELAY,
    SEED,
    SPOIL,
    SIZE,
    PORT,
    GSO,
    GRO
};

static const struct option known[] = {
    {"certificate", required_argument, NULL, CERTIFICATE},
    {"key", required_argument, NULL, KEY},
    {"cc", required_argument, NULL, CC},
    {"rate-gbps", required_argument, NULL, RATE},
    {"loss", required_argument, NULL, LOSS},
    {"duration-s", required_argument, NULL, DURATION},
    {"warm-up-s", required_argument, NULL, WARM_UP},
    {"patience-s", required_argument, NULL, PATIENCE},
    {"delay-us", required_argument, NULL, DELAY},
    {"seed", required_argument, NULL, SEED},
    {"spoil", required_argument, NULL, SPOIL},
    {"size", required_argument, NULL, SIZE},
    {"port", required_argument, NULL, PORT},
    {"gso", no_argument, NULL, GSO},
    {"gro", no_argument, NULL, GRO},
    {NULL, 0, NULL, 0},
};

static bool take(bench_options_t *options, int name, const char *value)
{
    switch (name) {
    case CERTIFICATE:
        options->certificate = value;
        return true;
    case KEY:
        options->key = value;
        return true;
    case CC:
        options->congestion_control = value;
        return true;
    case RATE:
        options->rate_gbps = atof(value);
        return true;
    case LOSS:
        options->loss = atof(value);
        return true;
    case DURATION:
        options->duration_s = atof(value);
        return true;
    case WARM_UP:
        options->warm_up_s = atof(value);
        return true;
    case PATIENCE:
        options->patience_s = atof(value);
        return true;
    case DELAY:
        options->delay_us = strtoull(value, NULL, 10);
        return true;
    case SEED:
        options->seed = strtoull(value, NULL, 10);
        return true;
    case SPOIL:
        options->spoil = strtoull(value, NULL, 10);
        return true;
    case SIZE:
        options->size = strtoull(value, NULL, 10);
        return true;
    case PORT:
        options->port = (uint16_t)strtoul(value, NULL, 10);
        return true;
    case GSO:
        options->uses_gso = true;
        return true;
    case GRO:
        options->uses_gro = true;
        return true;
    default:
        return false;
    }
}

int main(int argc, char **argv)
{
    bench_options_t options = {
        .congestion_control = "cubic",
        .rate_gbps = 100,
        .duration_s = 1,
        .warm_up_s = 0.25,
        .patience_s = 15,
        .delay_us = 50,
        .seed = 1,
        .size = 1400,
    };
    int name;
    opterr = 0;
    while ((name = getopt_long(argc, argv, "", known, NULL)) != -1) {
        if (!take(&options, name, optarg)) {
            return bench_fail(BENCH_USAGE, "the native program does not know that option");
        }
    }
    const char *command = optind == argc - 1 ? argv[optind] : "";
    if (strcmp(command, "sim-link") == 0) {
        return bench_sim_link(&options);
    }
    if (strcmp(command, "udp-send") == 0) {
        return bench_udp_send(&options);
    }
    if (strcmp(command, "udp-receive") == 0) {
        return bench_udp_receive(&options);
    }
    return bench_fail(BENCH_USAGE, "the native program measures udp-send, udp-receive and sim-link");
}
