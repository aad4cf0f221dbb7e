/* ui.h - the files of the web page under /ui. Pure. */
#ifndef ORCHESTRATOR_UI_UI_H
#define ORCHESTRATOR_UI_UI_H

#include "base/bytes.h"

struct ui_file {
    const char *content_type;
    struct bytes data; /* of the program, for ever */
};

/* What the page may load and do: its own files and this server, nothing else (CSP level 3). */
extern const char ui_content_security_policy[];

/* name is what follows /ui/; "" is the page itself. False: there is no such file. */
bool ui_find(const char *name, struct ui_file *ret);

#endif
