// SPDX-License-Identifier: Apache-2.0
/* Results for people, on stdout: aligned tables and short lines, numbers with units. Missing
 * members show as "-". */
#ifndef CLI_PRINT_H
#define CLI_PRINT_H

#include <jansson.h>

void print_host(const json_t *result);
void print_adapters(const json_t *result);
void print_adapter(const json_t *result);
void print_defrag(const json_t *result);
void print_peer(const json_t *result);
void print_driver(const json_t *result);
void print_driver_update(const json_t *result);
void print_created(const json_t *result);
void print_partitions(const json_t *result);
void print_partition(const json_t *result);
void print_run(const json_t *result);
void print_work(const json_t *result); /* wait, reference */
void print_read(const json_t *result);
void print_check(const json_t *result);
void print_reasons(const json_t *result); /* why a target refuses, a line each; nothing if none */
void print_jobs(const json_t *result);
void print_job(const json_t *result);
void print_resolved(const json_t *result);
void print_forgotten(const json_t *result);
void print_moved(const json_t *result); /* the summary after a move, a save or a restore */
void print_move_set(const json_t *result); /* the last line of several moves */
void print_trace(const json_t *result);
void print_plan(const json_t *result);     /* of one move, or of a fleet */
void print_image(const json_t *result);
void print_verified(const json_t *result);
void print_certs(const json_t *result);
void print_certificate(const json_t *result);
void print_top(const json_t *result);
void print_event(const json_t *event);
void print_events(const json_t *result);

#endif
