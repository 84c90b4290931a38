/* single_node.h - one server, its clients, crashes and a bad disk; the end is quiet. */
#ifndef SIM_SCENARIOS_SINGLE_NODE_H
#define SIM_SCENARIOS_SINGLE_NODE_H

#include "sim/scenario.h"
#include "sim/server_adapter.h"

enum single_node_damage {
    DAMAGE_SURVIVABLE, /* nothing may be lost, and all must work in the end */
    DAMAGE_FATAL       /* the disk flips, loses and misplaces: it may end, but never with a lie */
};

/* Drive the server of `adapter` as the seed says. */
void single_node_run(const struct server_adapter *adapter, enum single_node_damage damage,
                     const struct scenario_settings *settings, struct scenario_result *result);

#endif
