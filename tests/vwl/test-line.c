/* SPDX-License-Identifier: BSD-3-Clause */
/* The command lines of a machine's processes. */
#include <glib.h>
#include <string.h>

#include "line.h"

static struct vwl_host host = {
    .qemu = (char *)"/usr/bin/qemu",
    .glue = (char *)"/lib/glue.so",
    .daemon = (char *)"/usr/bin/daemon",
    .display = (char *)"/run/wayland-0",
    .sound = (char *)"/run/pulse/native",
    .cpus = 3,
    .memory = 700,
};

/* Whether the words stand there, one after the other. */
static bool has(char **line, const char *first, const char *second)
{
    for (size_t i = 0; line[i]; i++) {
        if (strcmp(line[i], first) == 0) {
            return !second || (line[i + 1] && !strcmp(line[i + 1], second));
        }
    }
    return false;
}

static void expect(char **line, const char *first, const char *second)
{
    if (!has(line, first, second)) {
        char *text = g_strjoinv("\n", line);

        g_error("no %s %s in\n%s", first, second ? second : "", text);
    }
}

static struct vwl_machine *make(const char *const *settings)
{
    struct vwl_machine *machine = vwl_machine_new("box", "/data/box");

    for (; settings[0]; settings += 2) {
        g_assert_true(vwl_machine_set(machine, settings[0], settings[1], NULL));
    }
    return machine;
}

static void test_daemon(void)
{
    struct vwl_machine *machine = make((const char *[]){ NULL });
    char **line = vwl_line_daemon(machine, &host, "/run/a,b");

    g_assert_cmpstr(line[0], ==, "/usr/bin/daemon");
    expect(line, "--socket-path=/run/a,b/device", NULL);
    expect(line, "--name=box", NULL);
    expect(line, "--app-id-prefix=org.vhost_user_wl.vm.box.", NULL);
    expect(line, "--title-prefix=[box] ", NULL);
    expect(line, "--wayland-sock=/run/wayland-0,policy=wayland", NULL);
    expect(line, "--wayland-sock=/run/pulse/native,name=sound,policy=pulse",
           NULL);
    expect(line, "--wayland-sock=/run/a\\,b/channel,name=vwl,policy=none",
           NULL);
    expect(line, "--wayland-sock=/run/a\\,b/root,name=vwl-root,policy=none",
           NULL);
    g_assert_cmpuint(g_strv_length(line), ==, 10);
    expect(line, "--control=/run/a,b/control", NULL);
    g_strfreev(line);
    vwl_machine_free(machine);

    machine = make((const char *[]){ "sound", "record", "clipboard", "off",
                                     "deny", "a,b", NULL });
    line = vwl_line_daemon(machine, &host, "/run/x");
    expect(line,
           "--wayland-sock=/run/pulse/native,name=sound,policy=pulse,record",
           NULL);
    expect(line, "--clipboard=off", NULL);
    expect(line, "--deny=a,b", NULL);
    g_strfreev(line);
    vwl_machine_free(machine);
}

static void test_qemu(void)
{
    struct vwl_machine *machine = make(
        (const char *[]){ "disk", "a,b.qcow2", "format", "qcow2", NULL });
    char **line = vwl_line_qemu(machine, &host, "/run/x");

    expect(line, "-plugin", "/lib/glue.so");
    expect(line, "-machine", "q35,memory-backend=mem,accel=tcg,hpet=off");
    expect(line, "-cpu", "max");
    expect(line, "-smp", "3");
    expect(line, "-m", "700M");
    expect(line, "-object", "memory-backend-memfd,id=mem,size=700M,share=on");
    expect(line, "-drive",
           "if=none,id=root,file=/data/box/a,,b.qcow2,format=qcow2,"
           "discard=unmap,detect-zeroes=unmap");
    expect(line, "-netdev", "user,id=net0");
    expect(line, "vhost-user-wl-pci,id=wl0,addr=0x10,socket=/run/x/device",
           NULL);
    g_assert_false(has(line, "-kernel", NULL));
    g_assert_false(has(line, "-no-reboot", NULL));
    g_strfreev(line);
    vwl_machine_free(machine);
}

static void test_kernel(void)
{
    struct vwl_machine *machine = make(
        (const char *[]){ "disk", "/d", "kernel", "vmlinuz", "initrd", "/i",
                          "append", "a b", "net", "none", NULL });
    char **line;

    host.kvm = true;
    line = vwl_line_qemu(machine, &host, "/run/x");
    host.kvm = false;
    expect(line, "-machine", "q35,memory-backend=mem,accel=kvm");
    expect(line, "-cpu", "host");
    expect(line, "-kernel", "/data/box/vmlinuz");
    expect(line, "-initrd", "/i");
    expect(line, "-append", "a b");
    expect(line, "-drive",
           "if=none,id=root,file=/d,format=raw,discard=unmap,"
           "detect-zeroes=unmap");
    g_assert_false(has(line, "-netdev", NULL));
    g_strfreev(line);
    vwl_machine_free(machine);
}

/* What text of a person's can hold must not end an element. */
static void test_libvirt(void)
{
    struct vwl_machine *machine = make((const char *[]){
        "disk", "/d'><&", "kernel", "k", "append", "x='</cmdline>'", NULL });
    char *xml = vwl_line_libvirt(machine, &host, "/run/a,b");
    GMarkupParser nothing = { NULL };
    GMarkupParseContext *parser = g_markup_parse_context_new(&nothing, 0, NULL,
                                                             NULL);
    GError *error = NULL;

    g_markup_parse_context_parse(parser, xml, -1, &error);
    g_assert_no_error(error);
    g_markup_parse_context_end_parse(parser, &error);
    g_assert_no_error(error);
    g_assert_nonnull(strstr(xml, "<source file='/d&apos;&gt;&lt;&amp;'/>"));
    g_assert_nonnull(strstr(xml, "x=&apos;&lt;/cmdline&gt;&apos;"));
    g_assert_nonnull(strstr(xml, "socket=/run/a,,b/device"));
    g_assert_nonnull(strstr(xml, "<access mode='shared'/>"));
    g_markup_parse_context_free(parser);
    g_free(xml);
    vwl_machine_free(machine);
}

/* A shell makes the same words of it. */
static void test_shell(void)
{
    const char *line[] = { "/bin/x y", "-a",   "b c",  "--d='$e'",
                           "",         "f\\g", "-h;i", NULL };
    char *text = vwl_line_shell((char *const *)line), **again = NULL;
    char *joined;
    GError *error = NULL;

    for (char *c = text; (c = strstr(c, "\\\n")); c++) {
        c[0] = c[1] = ' '; /* as a shell does */
    }
    g_shell_parse_argv(text, NULL, &again, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(g_strv_length(again), ==, 7);
    joined = g_strjoinv("|", again);
    g_assert_cmpstr(joined, ==, "/bin/x y|-a|b c|--d='$e'||f\\g|-h;i");
    g_free(joined);
    g_strfreev(again);
    g_free(text);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/line/daemon", test_daemon);
    g_test_add_func("/line/qemu", test_qemu);
    g_test_add_func("/line/kernel", test_kernel);
    g_test_add_func("/line/libvirt", test_libvirt);
    g_test_add_func("/line/shell", test_shell);
    return g_test_run();
}
