/* SPDX-License-Identifier: BSD-3-Clause */
/* Text of a machine: what may be shown stays, what may not is seen. */
#include <glib.h>

#include "channel/text.h"

#define BAD "\xef\xbf\xbd"

static void expect(const char *text, size_t max, const char *want)
{
    char *got = vwl_text(text, max);

    g_assert_cmpstr(got, ==, want);
    g_free(got);
}

static void test_plain(void)
{
    expect(NULL, 10, "");
    expect("", 10, "");
    expect("Terminal", 10, "Terminal");
    expect("Rechner \xc3\xa4\xc3\xb6 \xe8\xa8\x88\xe7\xae\x97", 20,
           "Rechner \xc3\xa4\xc3\xb6 \xe8\xa8\x88\xe7\xae\x97");
    expect("a!b:c;d\"e'f\\g<h>&", 64, "a!b:c;d\"e'f\\g<h>&");
}

static void test_space(void)
{
    expect("  a \t\n b\r\n", 10, "a b");
    expect("\n\n", 10, "");
    expect("a\xe2\x80\xa8"
           "b\xc2\xa0"
           "c",
           10, "a b c");
}

static void test_length(void)
{
    expect("abcdef", 3, "abc");
    expect("\xc3\xa4\xc3\xb6\xc3\xbc", 2, "\xc3\xa4\xc3\xb6");
    expect("ab cd", 3, "ab");
    expect("ab  cd", 4, "ab c");
    expect("abc", 0, "");
}

static void test_unfit(void)
{
    expect("Name\nExec=/bin/sh", 64, "Name Exec=/bin/sh");
    expect("\x1b[31mred", 64, BAD "[31mred");
    expect("\x7f\xc2\x85\xc2\x9b", 64, BAD BAD BAD);
    expect("a\xe2\x80\xae"
           "cod.exe",
           64, "a" BAD "cod.exe"); /* 202E */
    expect("\xe2\x81\xa6\xe2\x80\x8b\xef\xbb\xbf", 64, BAD BAD BAD);
    expect("\xee\x80\x80\xef\xb7\x90\xef\xbf\xbe", 64, BAD BAD BAD);
    expect("\xf3\xa0\x81\x81\xf4\x8f\xbf\xbf", 64, BAD BAD);
}

/* Bytes that are no UTF-8: one for each. */
static void test_bytes(void)
{
    expect("a\xff"
           "b",
           64, "a" BAD "b");
    expect("\xc3", 64, BAD);
    expect("\xc0\x80", 64, BAD BAD);                 /* NUL in two bytes */
    expect("\xed\xa0\x80", 64, BAD BAD BAD);         /* half a pair */
    expect("\xf4\x90\x80\x80", 64, BAD BAD BAD BAD); /* beyond 10FFFF */
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/text/plain", test_plain);
    g_test_add_func("/text/space", test_space);
    g_test_add_func("/text/length", test_length);
    g_test_add_func("/text/unfit", test_unfit);
    g_test_add_func("/text/bytes", test_bytes);
    return g_test_run();
}
