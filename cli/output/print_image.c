// SPDX-License-Identifier: Apache-2.0
/* Saved partitions and certificates. See print.h. */
#include "cli/output/print.h"

#include "cli/output/table.h"

#include <stdio.h>

void print_image(const json_t *result)
{
    static const struct column columns[] = {
        {CELL_TEXT, "partition", "partition"},
        {CELL_TEXT, "uuid", "uuid"},
        {CELL_TEXT, "epoch", "epoch"},
        {CELL_TEXT, "saved", "saved"},
        {CELL_TEXT, "on host", "host"},
        {CELL_TEXT, "by vferry", "vferry"},
        {CELL_TEXT, "device", "device"},
        {CELL_TEXT, "driver", "driver"},
        {CELL_TEXT, "description", "description"},
        {CELL_TEXT, "was paused", "paused"},
        {CELL_SIZE, "VRAM", "vram_bytes"},
        {CELL_SIZE, "page", "page_bytes"},
        {CELL_SIZE, "content", "content_bytes"},
        {CELL_SIZE, "file", "file_bytes"},
        {CELL_TEXT, "format", "version"},
        {CELL_TEXT, "digest", "digest"},
        {CELL_END},
    };

    table_fields(columns, result);
}

void print_verified(const json_t *result)
{
    char text[3][CELL_BYTES];

    (void)printf("%s is whole: partition %s, %s of %s VRAM, read in %s\n",
                 table_text(result, "file"), table_text(result, "partition"),
                 table_cell(result, CELL_SIZE, "content_bytes", text[0]),
                 table_cell(result, CELL_SIZE, "vram_bytes", text[1]),
                 table_cell(result, CELL_TIME, "duration_ns", text[2]));
}

void print_certs(const json_t *result)
{
    const char *directory = table_text(result, "directory");
    size_t index;
    json_t *host;

    (void)printf("start each host with these, and --listen HOST:PORT:\n");
    json_array_foreach(json_object_get(result, "hosts"), index, host) {
        (void)printf("%s:\n  --tls-cert %s/%s --tls-key %s/%s --tls-ca %s/%s\n",
                     json_string_value(json_array_get(json_object_get(host, "names"), 0)),
                     directory, table_text(host, "cert"), directory, table_text(host, "key"),
                     directory, table_text(result, "ca"));
    }
    (void)printf("To another machine take its own two files and ca.pem. Who has %s/ca.key can pass "
                 "for any host.\n",
                 directory);
}

void print_certificate(const json_t *result)
{
    static const struct column columns[] = {
        {CELL_TEXT, "subject", "subject"},
        {CELL_TEXT, "issuer", "issuer"},
        {CELL_TEXT, "from", "from"},
        {CELL_TEXT, "until", "until"},
        {CELL_TEXT, "valid now", "valid"},
        {CELL_TEXT, "CA", "ca"},
        {CELL_TEXT, "client", "client"},
        {CELL_TEXT, "server", "server"},
        {CELL_END, NULL, NULL},
    };
    size_t index;
    json_t *name;

    json_array_foreach(json_object_get(result, "names"), index, name)
        (void)printf("name        %s\n", json_string_value(name));
    table_fields(columns, result);
}
