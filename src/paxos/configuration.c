/* configuration.c - the bytes of a configuration, in a WAL_CONFIGURATION record.
 *
 *   offset size
 *        0    1  format: 1
 *        1    1  members
 *        2    6  zero
 *        8    8  slot
 *       16   24  each member: group 8, slot that added it 8, node 4, kind 1, zero 3
 */
#include <string.h>

#include "base/codec.h"
#include "paxos/paxos.h"

#define FORMAT       1u
#define HEADER_BYTES 16u
#define MEMBER_BYTES 24u

_Static_assert(HEADER_BYTES + PAXOS_MEMBERS_MAX * MEMBER_BYTES <= PAXOS_CONFIGURATION_BYTES_MAX,
               "a configuration fits");

uint32_t paxos_configuration_encode(const struct paxos_configuration *configuration, uint8_t *to)
{
    uint32_t bytes = HEADER_BYTES + configuration->member_count * MEMBER_BYTES;

    memset(to, 0, bytes);
    to[0] = FORMAT;
    to[1] = (uint8_t)configuration->member_count;
    put_u64(to + 8, configuration->slot);
    for (uint32_t i = 0; i < configuration->member_count; i++) {
        const struct paxos_member *member = &configuration->members[i];
        uint8_t *at = to + HEADER_BYTES + i * MEMBER_BYTES;
        put_u64(at, member->replica.group);
        put_u64(at + 8, member->replica.added);
        put_u32(at + 16, member->replica.node);
        at[20] = (uint8_t)member->kind;
    }
    return bytes;
}

enum status paxos_configuration_decode(struct bytes bytes,
                                       struct paxos_configuration *configuration)
{
    struct reader r = reader_of(bytes);
    struct paxos_configuration decoded = {0};

    uint8_t format = read_u8(&r);
    decoded.member_count = read_u8(&r);
    read_bytes(&r, 6);
    decoded.slot = read_u64(&r);
    if (r.failed)
        return STATUS_CORRUPT;
    if (format != FORMAT)
        return format > FORMAT ? STATUS_VERSION : STATUS_CORRUPT;
    if (decoded.member_count == 0 || decoded.member_count > PAXOS_MEMBERS_MAX)
        return STATUS_CORRUPT;
    for (uint32_t i = 0; i < decoded.member_count; i++) {
        struct paxos_member *member = &decoded.members[i];
        member->replica.group = read_u64(&r);
        member->replica.added = read_u64(&r);
        member->replica.node = read_u32(&r);
        uint8_t kind = read_u8(&r);
        read_bytes(&r, 3);
        if (r.failed || member->replica.node == 0 || kind < PAXOS_STORAGE || kind > PAXOS_LEARNER)
            return STATUS_CORRUPT;
        member->kind = (enum paxos_member_kind)kind;
    }
    if (reader_left(&r) != 0)
        return STATUS_CORRUPT;
    *configuration = decoded;
    return STATUS_OK;
}
