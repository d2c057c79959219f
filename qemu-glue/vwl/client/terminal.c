/* SPDX-License-Identifier: BSD-3-Clause */
#include "terminal.h"

#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

static struct termios before;
static bool is_raw;

bool vwl_terminal_is_there(void)
{
    return isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
}

void vwl_terminal_begin(void)
{
    struct termios raw;

    if (tcgetattr(STDIN_FILENO, &before) != 0) {
        return;
    }
    raw = before;
    cfmakeraw(&raw);
    is_raw = tcsetattr(STDIN_FILENO, TCSADRAIN, &raw) == 0;
}

void vwl_terminal_end(void)
{
    if (is_raw) {
        tcsetattr(STDIN_FILENO, TCSADRAIN, &before);
        is_raw = false;
    }
}

void vwl_terminal_size(unsigned int *rows, unsigned int *columns)
{
    struct winsize size;

    *rows = 24;
    *columns = 80;
    if (ioctl(STDIN_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0) {
        *rows = size.ws_row;
        *columns = size.ws_col;
    }
}
