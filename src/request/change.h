/* change.h - a change of an item, as streams and indexes see it: one record of node/changes.h. */
#ifndef REQUEST_CHANGE_H
#define REQUEST_CHANGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "model/value.h"

/* Where a record is in the log of its partition: the slot of its entry, and its number in that.
 * Zero: before the first. */
struct change_position {
    uint64_t slot;
    uint16_t number;
};

static inline bool change_before(struct change_position a, struct change_position b)
{
    return a.slot < b.slot || (a.slot == b.slot && a.number < b.number);
}

enum change_kind { CHANGE_INSERT = 1, CHANGE_MODIFY = 2, CHANGE_REMOVE = 3 };

/* Who wrote. */
enum write_actor {
    WRITE_BY_CLIENT = 0,
    WRITE_BY_EXPIRY = 1, /* the time to live of the item was over */
    WRITE_BY_SERVER = 2, /* a seed, or a snapshot that is restored */
};

struct change_record {
    struct change_position position;
    enum change_kind kind;
    uint8_t actor;             /* enum write_actor */
    uint8_t stream;            /* the number of the table's stream that it is for; 0: none */
    uint64_t hlc;              /* of its entry: nanoseconds since 1970, growing along the log */
    struct bytes key;          /* the item's encoded key */
    struct value old, current; /* the item before and after; VALUE_ABSENT: there was, is none */
};

/* Who keeps records of a table's changes. */
enum change_keeping {
    KEEP_NO_CHANGES = 0,
    KEEP_CHANGES = 1,            /* an index: until it has them */
    KEEP_CHANGES_FOR_STREAM = 3, /* for a day */
};

/* Takes records, in the order of the log. */
struct change_sink {
    /* `record` is valid for the call; the callee must not wait.
     *   STATUS_END  there is no room for it: it is the first one not taken */
    enum status (*take)(struct change_sink *sink, const struct change_record *record);
};

#endif
