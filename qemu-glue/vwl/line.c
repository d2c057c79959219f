/* SPDX-License-Identifier: BSD-3-Clause */
#include "line.h"

#include <stdarg.h>
#include <string.h>

#define SANDBOX \
    "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"

static void add(GPtrArray *line, const char *format, ...) G_GNUC_PRINTF(2, 3);

static void add(GPtrArray *line, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_ptr_array_add(line, g_strdup_vprintf(format, args));
    va_end(args);
}

static char **finish(GPtrArray *line)
{
    g_ptr_array_add(line, NULL);
    return (char **)g_ptr_array_free(line, FALSE);
}

/* A character in front of each of those. */
static char *escape(const char *text, const char *which, char with)
{
    GString *escaped = g_string_new(NULL);

    for (; *text; text++) {
        if (strchr(which, *text)) {
            g_string_append_c(escaped, with ? with : *text);
        }
        g_string_append_c(escaped, *text);
    }
    return g_string_free(escaped, FALSE);
}

/* In QEMU's options a comma is doubled. */
static char *for_qemu(const char *text)
{
    return escape(text, ",", ',');
}

/* ---- the daemon --------------------------------------------------------- */

static void add_socket(GPtrArray *line, const char *path, const char *rest)
{
    char *escaped = escape(path, ",;\\", '\\');

    add(line, "--wayland-sock=%s%s", escaped, rest);
    g_free(escaped);
}

static void add_own_socket(GPtrArray *line, const char *runtime,
                           const char *file, const char *rest)
{
    char *path = g_build_filename(runtime, file, NULL);

    add_socket(line, path, rest);
    g_free(path);
}

static void add_policy(GPtrArray *line, const struct vwl_machine *machine)
{
    const struct {
        const char *option, *value;
    } all[] = { { "clipboard", machine->clipboard },
                { "primary", machine->primary },
                { "drag", machine->drag },
                { "allow", machine->allow },
                { "deny", machine->deny } };

    for (size_t i = 0; i < G_N_ELEMENTS(all); i++) {
        if (all[i].value) {
            add(line, "--%s=%s", all[i].option, all[i].value);
        }
    }
}

char **vwl_line_daemon(const struct vwl_machine *machine,
                       const struct vwl_host *host, const char *runtime)
{
    GPtrArray *line = g_ptr_array_new();

    add(line, "%s", host->daemon);
    add(line, "--socket-path=%s/%s", runtime, VWL_SOCKET_DEVICE);
    add(line, "--control=%s/%s", runtime, VWL_SOCKET_CONTROL);
    add(line, "--name=%s", machine->name);
    add(line, "--app-id-prefix=%s.vm.%s.", VWL_PREFIX, machine->name);
    add(line, "--title-prefix=[%s] ", machine->name);
    add_policy(line, machine);
    add_socket(line, host->display, ",policy=wayland");
    if (host->sound) {
        add_socket(line, host->sound,
                   machine->sound == VWL_SOUND_RECORD
                       ? ",name=sound,policy=pulse,record"
                       : ",name=sound,policy=pulse");
    }
    add_own_socket(line, runtime, VWL_SOCKET_CHANNEL, ",name=vwl,policy=none");
    add_own_socket(line, runtime, VWL_SOCKET_ROOT,
                   ",name=vwl-root,policy=none");
    return finish(line);
}

/* ---- QEMU --------------------------------------------------------------- */

static void add_machine(GPtrArray *line, const struct vwl_machine *machine,
                        const struct vwl_host *host)
{
    add(line, "-name");
    add(line, "%s", machine->name);
    add(line, "-nodefaults");
    add(line, "-no-user-config");
    add(line, "-display");
    add(line, "%s", host->screen ? "gtk" : "none");
    add(line, "-sandbox");
    add(line, SANDBOX);
    add(line, "-machine");
    add(line, "q35,memory-backend=mem,accel=%s%s", host->kvm ? "kvm" : "tcg",
        host->kvm ? "" : ",hpet=off");
    add(line, "-cpu");
    add(line, "%s", host->kvm ? "host" : "max");
    add(line, "-smp");
    add(line, "%u", host->cpus);
    add(line, "-m");
    add(line, "%uM", host->memory);
    add(line, "-object");
    add(line, "memory-backend-memfd,id=mem,size=%uM,share=on", host->memory);
    add(line, "-rtc");
    add(line, "base=utc,clock=host");
}

static void add_disk(GPtrArray *line, const struct vwl_machine *machine)
{
    char *path = vwl_machine_path(machine, machine->disk);
    char *escaped = for_qemu(path ? path : "");

    add(line, "-drive");
    add(line,
        "if=none,id=root,file=%s,format=%s,discard=unmap,detect-zeroes=unmap",
        escaped, machine->format ? machine->format : "raw");
    add(line, "-device");
    add(line, "virtio-blk-pci,drive=root");
    g_free(escaped);
    g_free(path);
}

/* For a guest that has no kit yet: a disk with it, and something to type the
 * command into. */
static void add_kit(GPtrArray *line, const struct vwl_host *host)
{
    char *escaped;

    if (!host->kit) {
        return;
    }
    escaped = for_qemu(host->kit);
    add(line, "-drive");
    add(line, "if=none,id=kit,file=%s,format=raw,readonly=on", escaped);
    add(line, "-device");
    add(line, "virtio-blk-pci,drive=kit");
    if (host->screen) {
        add(line, "-device");
        add(line, "virtio-vga");
        add(line, "-device");
        add(line, "virtio-tablet-pci");
    }
    g_free(escaped);
}

static void add_kernel(GPtrArray *line, const struct vwl_machine *machine)
{
    char *kernel = vwl_machine_path(machine, machine->kernel);
    char *initrd = vwl_machine_path(machine, machine->initrd);

    if (kernel) {
        add(line, "-kernel");
        add(line, "%s", kernel);
    }
    if (kernel && initrd) {
        add(line, "-initrd");
        add(line, "%s", initrd);
    }
    if (kernel && machine->append) {
        add(line, "-append");
        add(line, "%s", machine->append);
    }
    g_free(initrd);
    g_free(kernel);
}

static void add_sockets(GPtrArray *line, const char *runtime)
{
    char *escaped = for_qemu(runtime);

    add(line, "-device");
    add(line, "vhost-user-wl-pci,id=wl0,addr=0x10,socket=%s/%s", escaped,
        VWL_SOCKET_DEVICE);
    add(line, "-chardev");
    add(line, "socket,id=qmp,path=%s/%s,server=on,wait=off", escaped,
        VWL_SOCKET_QMP);
    add(line, "-mon");
    add(line, "chardev=qmp,mode=control");
    add(line, "-chardev");
    add(line, "socket,id=serial,path=%s/%s,server=on,wait=off", escaped,
        VWL_SOCKET_SERIAL);
    add(line, "-serial");
    add(line, "chardev:serial");
    g_free(escaped);
}

/* In front of QEMU: it ends with QEMU, and so needs nobody to look after it. */
static void add_sharer(GPtrArray *line, const struct vwl_host *host,
                       const char *runtime)
{
    if (host->share) {
        add(line, "%s", host->sharer);
        add(line, "%s/%s", runtime, VWL_SOCKET_SHARE);
        add(line, "%s", host->share);
        add(line, "%s", host->virtiofsd);
    }
}

static void add_share(GPtrArray *line, const struct vwl_host *host,
                      const char *runtime)
{
    char *escaped;

    if (!host->share) {
        return;
    }
    escaped = for_qemu(runtime);
    add(line, "-chardev");
    add(line, "socket,id=share,path=%s/%s", escaped, VWL_SOCKET_SHARE);
    add(line, "-device");
    add(line, "vhost-user-fs-pci,chardev=share,tag=vwl");
    g_free(escaped);
}

char **vwl_line_qemu(const struct vwl_machine *machine,
                     const struct vwl_host *host, const char *runtime)
{
    GPtrArray *line = g_ptr_array_new();

    if (host->screen) {
        add(line, "env");
        add(line, "GDK_BACKEND=wayland");
        add(line, "WAYLAND_DISPLAY=%s", host->display);
    }
    add_sharer(line, host, runtime);
    add(line, "%s", host->qemu);
    add(line, "-plugin");
    add(line, "%s", host->glue);
    add_machine(line, machine, host);
    add_disk(line, machine);
    add_kernel(line, machine);
    add_kit(line, host);
    add_sockets(line, runtime);
    add_share(line, host, runtime);
    if (machine->net == VWL_NET_USER) {
        add(line, "-netdev");
        add(line, "user,id=net0");
        add(line, "-device");
        add(line, "virtio-net-pci,netdev=net0");
    }
    add(line, "-device");
    add(line, "virtio-rng-pci");
    add(line, "-device");
    add(line, "virtio-balloon-pci,free-page-reporting=on,deflate-on-oom=on");
    return finish(line);
}

/* ---- libvirt ------------------------------------------------------------ */

static void add_os(GString *xml, const struct vwl_machine *machine)
{
    char *kernel = vwl_machine_path(machine, machine->kernel);
    char *initrd = vwl_machine_path(machine, machine->initrd);

    g_string_append(xml, "  <os>\n"
                         "    <type arch='x86_64' machine='q35'>hvm</type>\n");
    if (kernel) {
        char *text = g_markup_printf_escaped(
            "    <kernel>%s</kernel>\n    <initrd>%s</initrd>\n"
            "    <cmdline>%s</cmdline>\n",
            kernel, initrd ? initrd : "",
            machine->append ? machine->append : "");

        g_string_append(xml, text);
        g_free(text);
    }
    g_string_append(xml, "  </os>\n  <features>\n    <acpi/>\n  </features>\n");
    g_free(initrd);
    g_free(kernel);
}

static void add_devices(GString *xml, const struct vwl_machine *machine,
                        const struct vwl_host *host)
{
    char *disk = vwl_machine_path(machine, machine->disk);
    char *text = g_markup_printf_escaped(
        "  <cpu mode='%s'/>\n"
        "  <devices>\n"
        "    <emulator>%s</emulator>\n"
        "    <disk type='file' device='disk'>\n"
        "      <driver name='qemu' type='%s' discard='unmap'/>\n"
        "      <source file='%s'/>\n"
        "      <target dev='vda' bus='virtio'/>\n"
        "    </disk>\n",
        host->kvm ? "host-passthrough" : "maximum", host->qemu,
        machine->format ? machine->format : "raw", disk ? disk : "");

    g_string_append(xml, text);
    if (machine->net == VWL_NET_USER) {
        g_string_append(xml, "    <interface type='user'>\n"
                             "      <model type='virtio'/>\n"
                             "    </interface>\n");
    }
    g_string_append(xml, "    <serial type='pty'/>\n"
                         "    <rng model='virtio'>\n"
                         "      <backend model='random'>/dev/urandom"
                         "</backend>\n"
                         "    </rng>\n"
                         "  </devices>\n");
    g_free(text);
    g_free(disk);
}

char *vwl_line_libvirt(const struct vwl_machine *machine,
                       const struct vwl_host *host, const char *runtime)
{
    GString *xml = g_string_new(NULL);
    char *folder = for_qemu(runtime), *text;

    text = g_markup_printf_escaped(
        "<domain type='%s' "
        "xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>\n"
        "  <name>%s</name>\n"
        "  <memory unit='MiB'>%u</memory>\n"
        "  <memoryBacking>\n"
        "    <source type='memfd'/>\n"
        "    <access mode='shared'/>\n"
        "  </memoryBacking>\n"
        "  <vcpu>%u</vcpu>\n",
        host->kvm ? "kvm" : "qemu", machine->name, host->memory, host->cpus);
    g_string_append(xml, text);
    g_free(text);
    add_os(xml, machine);
    add_devices(xml, machine, host);
    text = g_markup_printf_escaped(
        "  <qemu:commandline>\n"
        "    <qemu:arg value='-plugin'/>\n"
        "    <qemu:arg value='%s'/>\n"
        "    <qemu:arg value='-device'/>\n"
        "    <qemu:arg value='vhost-user-wl-pci,id=wl0,addr=0x10,"
        "socket=%s/%s'/>\n"
        "  </qemu:commandline>\n"
        "</domain>\n",
        host->glue, folder, VWL_SOCKET_DEVICE);
    g_string_append(xml, text);
    g_free(text);
    g_free(folder);
    return g_string_free(xml, FALSE);
}

/* ---- shells ------------------------------------------------------------- */

static bool is_safe(const char *word)
{
    return word[0] && strspn(word, "abcdefghijklmnopqrstuvwxyz"
                                   "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                   "0123456789_-+=.,:/@%") == strlen(word);
}

char *vwl_line_shell(char *const *line)
{
    GString *text = g_string_new(NULL);

    for (size_t i = 0; line[i]; i++) {
        char *quoted = is_safe(line[i]) ? g_strdup(line[i])
                                        : g_shell_quote(line[i]);
        bool is_option = line[i][0] == '-';

        if (i > 0) {
            g_string_append(text, is_option ? " \\\n    " : " ");
        }
        g_string_append(text, quoted);
        g_free(quoted);
    }
    g_string_append_c(text, '\n');
    return g_string_free(text, FALSE);
}
