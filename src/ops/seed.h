/* seed.h - tables and items that an operator wants to be there at the start: `--seed DIR`.
 *
 *   NAME.table.json   what CreateTable takes (the AWS CLI's --cli-input-json); or what
 *                     DescribeTable answers, of which it is what CreateTable takes
 *   NAME.jsonl        its items, one in a line: {"id": {"S": "1"}} or {"Item": {"id": {"S": "1"}}}
 *   an export         a directory of what ExportTableToPointInTime wrote (manifest-summary.json,
 *                     manifest-files.json, data/); DIR itself, one in DIR, or one in
 *                     DIR/AWSDynamoDB.  An export does not say how its table is defined: that is
 *                     for the NAME.table.json whose TableName is that of the export.
 *
 * Everything goes the way of a client's request.  A table that is there already is left alone,
 * unless its load has begun and not ended, at a start that was killed or that failed: then it is
 * loaded again.  That it has begun is a row in the system table.
 *
 * What is in memory at one time is bounded: a table's definition, 25 items, one line, and of an
 * export one data file.
 */
#ifndef OPS_SEED_H
#define OPS_SEED_H

#include "api/api.h"
#include "env/fiber.h"
#include "router/router.h"

#define SEED_DEFINITION_BYTES_MAX (1u << 20)
#define SEED_LINE_BYTES_MAX       (8u << 20)
#define SEED_NAMES_MAX            4096u        /* in one directory */
#define SEED_PACKED_BYTES_MAX     (64u << 20)  /* of a data file of an export */
#define SEED_DATA_BYTES_MAX       (512u << 20) /* of what is packed in it */

struct seed_options {
    const char *dir;
    struct api *api;
    struct router *router;
    const bool *stop; /* becomes true: give up soon */
};

/* Load all that `dir` holds; when this returns STATUS_OK all of it is there and every table is
 * ACTIVE.  The log says what was loaded.  `why` becomes a sentence that names file and line; what
 * was loaded until then stays.
 *   STATUS_CANCELLED  it was asked to stop */
MUST_USE enum status seed_load(struct context *ctx, const struct seed_options *options, char *why,
                               size_t why_bytes);

#endif
