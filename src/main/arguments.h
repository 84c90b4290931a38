/* arguments.h - the words of the command line, checked and turned into options. */
#ifndef MAIN_ARGUMENTS_H
#define MAIN_ARGUMENTS_H

#include "base/log.h"
#include "main/server.h"

#define ARGUMENTS_FAULT_BYTES 400
#define ARGUMENTS_HOST_BYTES  256

struct arguments {
    bool serving; /* the command is `serve`: for the hint behind a fault */
    char fault[ARGUMENTS_FAULT_BYTES];
    const char *text;             /* help or version; static */
    struct server_options server; /* without the contents of the files */
    const char *credentials_path; /* NULL: not given; borrowed from the words */
    const char *certificate_path;
    const char *private_key_path;
    bool accept_any_credentials;
    bool no_throttling, throttle_all;
    bool examples; /* print commands to try */
    enum log_level log_level;
    char host[ARGUMENTS_HOST_BYTES];
    char admin_host[ARGUMENTS_HOST_BYTES];
};

enum arguments_outcome {
    ARGUMENTS_SERVE, /* run the server */
    ARGUMENTS_TEXT,  /* print `text` */
    ARGUMENTS_FAULT, /* print `fault`: which word is wrong, and how */
};

enum arguments_outcome arguments_parse(int count, char **words, struct arguments *arguments);

#endif
