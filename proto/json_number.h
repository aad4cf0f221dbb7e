/* json_number.h - whole numbers written in JSON's ways: 12, -3, 1e3, 4.50e1. */
#ifndef PROTO_JSON_NUMBER_H
#define PROTO_JSON_NUMBER_H

#include "base/bytes.h"

/* Text is what json_take_number takes. False: not a whole number, or out of 64 bits. */
bool json_number_whole(struct bytes text, bool *ret_is_negative, uint64_t *ret_magnitude);

#endif
