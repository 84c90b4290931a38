/* single_node.h - one server, its clients, crashes and a bad disk; the end is quiet. */
#ifndef SIM_SCENARIOS_SINGLE_NODE_H
#define SIM_SCENARIOS_SINGLE_NODE_H

#include "sim/scenario.h"
#include "sim/server_adapter.h"

/* Drive the server of `adapter` as the seed says. */
void single_node_run(const struct server_adapter *adapter, const struct scenario_settings *settings,
                     struct scenario_result *result);

#endif
