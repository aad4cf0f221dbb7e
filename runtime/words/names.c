#include "runtime/words/names.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

static const char *const manners[] = {
    "amber",  "brave",   "brisk",  "calm",   "clear",  "cosy",   "crisp",  "deft",
    "eager",  "early",   "fair",   "fond",   "frank",  "fresh",  "gentle", "glad",
    "golden", "grand",   "handy",  "hardy",  "honest", "humble", "jolly",  "keen",
    "kind",   "light",   "lively", "lucid",  "merry",  "mild",   "neat",   "nimble",
    "noble",  "patient", "plain",  "proud",  "quick",  "quiet",  "rapid",  "ready",
    "robust", "silent",  "silver", "sleek",  "smooth", "snug",   "solid",  "spry",
    "stable", "steady",  "stout",  "sturdy", "sunny",  "swift",  "tidy",   "tough",
    "trusty", "vivid",   "warm",   "wary",   "wild",   "wise",   "witty",  "zesty",
};
static const char *const vessels[] = {
    "anchor",  "bark",    "barge",    "brig",     "buoy",   "canoe",   "caravel", "carrack",
    "clipper", "cog",     "coracle",  "currach",  "cutter", "dhow",    "dinghy",  "dory",
    "felucca", "ferry",   "frigate",  "galleon",  "galley", "gondola", "helm",    "hoy",
    "hulk",    "jetty",   "jolly",    "junk",     "kayak",  "keel",    "ketch",   "knarr",
    "launch",  "lighter", "longboat", "lugger",   "mast",   "mooring", "oar",     "packet",
    "paddle",  "pilot",   "pinnace",  "pontoon",  "prow",   "punt",    "quay",    "raft",
    "rudder",  "sail",    "sampan",   "schooner", "scow",   "shallop", "skiff",   "sloop",
    "smack",   "tender",  "tiller",   "trawler",  "tug",    "wherry",  "yacht",   "yawl",
};
_Static_assert(sizeof(manners) / sizeof(manners[0]) == 64, "indexed by six bits");
_Static_assert(sizeof(vessels) / sizeof(vessels[0]) == 64, "indexed by six bits");

void name_invent(const char *id, unsigned attempt, char *out, size_t room)
{
    uint64_t bits = 0;
    for (size_t i = 0; i < 8 && id[i] != '\0'; i++) {
        const char *digits = "0123456789abcdef";
        const char *digit = strchr(digits, id[(i + attempt) % 48]);
        bits = bits << 4 | (uint64_t)(digit == NULL ? 0 : digit - digits);
    }
    const char *manner = manners[bits & 63];
    const char *vessel = vessels[bits >> 6 & 63];
    if (attempt < 10) {
        (void)snprintf(out, room, "%s_%s", manner, vessel);
    } else {
        (void)snprintf(out, room, "%s_%s%u", manner, vessel, (unsigned)(bits >> 12 & 1023));
    }
}
