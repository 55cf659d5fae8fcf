#include "base/octets.h"

bool octets_read_hex(struct slice hex, unsigned char *ret_bytes, size_t size)
{
    if (hex.size != 2 * size)
        return false;
    for (size_t i = 0; i < size; i++) {
        int high = slice_hex_digit(hex.data[2 * i]), low = slice_hex_digit(hex.data[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        ret_bytes[i] = (unsigned char)(high << 4 | low);
    }
    return true;
}
