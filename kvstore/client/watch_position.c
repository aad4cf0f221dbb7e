#include "kvstore/client/watch_position.h"

void watch_position_on_created(struct watch_position *position, int64_t store_revision)
{
    if (position->next_revision == 0) {
        position->next_revision = store_revision + 1;
    }
}

void watch_position_on_progress(struct watch_position *position, int64_t store_revision)
{
    if (store_revision + 1 > position->next_revision) {
        position->next_revision = store_revision + 1;
    }
}

static int64_t event_revision(const Mvccpb__Event *event)
{
    return event->kv->mod_revision;
}

size_t watch_position_on_events(struct watch_position *position, Mvccpb__Event *const *events,
                                size_t count)
{
    size_t first = 0;
    while (first < count && event_revision(events[first]) < position->next_revision) {
        first += 1;
    }
    if (first < count && event_revision(events[count - 1]) >= position->next_revision) {
        position->next_revision = event_revision(events[count - 1]) + 1;
    }
    return first;
}
