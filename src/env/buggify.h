/* buggify.h - in a simulation, choose what is legal but rude: a tiny batch, an early timeout, a
 * queue that is full.  The program must behave with either choice; outside the simulator the
 * answer is the constant false. */
#ifndef ENV_BUGGIFY_H
#define ENV_BUGGIFY_H

#include "env/env.h"

/* True once in `one_in` on average (one_in > 0), and only in a simulation. */
#ifdef TRINE_DEBUG
#define BUGGIFY(env, one_in) ((env)->simulated && env_random_u64(env) % (one_in) == 0)
#else
#define BUGGIFY(env, one_in) ((void)(env), false)
#endif

#endif
