/* gzip.h - compressed bodies: gzip (RFC 1952), zlib and bare deflate (RFC 1950, 1951), by
 * libdeflate.
 *
 * What takes longer than a turn of the loop may is done by a worker of the read lane while the
 * fiber waits.  Output is bounded before a byte is written, so that no bomb gets past the bound.
 */
#ifndef WIRE_GZIP_H
#define WIRE_GZIP_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/compiler.h"
#include "base/status.h"
#include "env/fiber.h"

enum gzip_format {
    GZIP_FORMAT_GZIP,
    GZIP_FORMAT_DEFLATE, /* zlib, or bare deflate as some clients send under that name */
};

/* A block of the env's heap; the receiver frees it with gzip_block_free. */
struct gzip_block {
    uint8_t *at;
    size_t count;    /* bytes of content */
    size_t capacity; /* bytes allocated */
};

/* Compress `bytes` to gzip format, fast rather than small.  May wait; cannot be interrupted.
 *   STATUS_NO_MEMORY */
MUST_USE enum status gzip_compress(struct context *ctx, struct bytes bytes,
                                   struct gzip_block *block);

/* Decompress `bytes` to at most bytes_max bytes.  May wait; cannot be interrupted.
 *   STATUS_TOO_LARGE  there is more, or the trailer says so
 *   STATUS_CORRUPT    not of this format, damaged, or followed by something else
 *   STATUS_NO_MEMORY */
MUST_USE enum status gzip_decompress(struct context *ctx, enum gzip_format format,
                                     struct bytes bytes, size_t bytes_max,
                                     struct gzip_block *block);

void gzip_block_free(struct heap *heap, struct gzip_block *block);

#endif
