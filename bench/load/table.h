/* table.h - create the table and fill it, before anything is measured. */
#ifndef LOAD_TABLE_H
#define LOAD_TABLE_H

#include "load/engine.h"
#include "load/sign.h"
#include "load/workload.h"

/* Create workload->table, wait until it is ACTIVE, write all its items in batches over
 * options->connections connections.  On failure result->error says what the server answered.
 *   STATUS_UNAVAILABLE  the server refused or did not answer
 *   STATUS_NO_MEMORY    STATUS_IO */
MUST_USE enum status table_load(const struct engine_options *options, struct heap *heap,
                                struct workload *workload, const struct signer *signer,
                                struct engine_result *result);

#endif
