/* options.h - the command line of trine-load. */
#ifndef LOAD_OPTIONS_H
#define LOAD_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "load/engine.h"
#include "load/sign.h"
#include "load/workload.h"

struct options {
    struct engine_options engine;
    struct signer_options signer;
    const char *table;
    const char *iterator; /* of GetRecords; NULL: none was given */
    uint32_t items;
    uint32_t ring;                     /* requests made ahead */
    bool load;                         /* create the table and fill it first */
    enum workload_operation operation; /* WORKLOAD_OPERATION_COUNT: only load */
    const char *fault;                 /* what is wrong, and with which word */
    const char *fault_word;
};

extern const char options_help[];

/* False: options->fault and options->fault_word say why; --help is a fault without a text.  Texts
 * are borrowed from `words`. */
bool options_parse(int count, char **words, struct options *options);

#endif
